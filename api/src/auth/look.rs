//! The look at the tables, each second: which keys sign, and whose tokens were revoked.
//!
//! So a request is let in or refused from memory, and never waits for the database.

use std::time::Duration;

use rocket::fairing::AdHoc;
use rocket_db_pools::Database;
use tokio::time::sleep;

use super::revocation::Revocations;
use super::tokens::Tokens;
use crate::db::Db;

/// How often: how long a revoked token may still be good. Not more often either, whoever asks.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// Looks before the first request, and then each second.
pub(crate) fn fairing() -> AdHoc {
    AdHoc::on_liftoff("Keys and revocations", move |rocket| {
        Box::pin(async move {
            let (Some(tokens), Some(revocations), Some(db)) =
                (rocket.state::<Tokens>(), rocket.state::<Revocations>().cloned(), Db::fetch(rocket))
            else {
                return;
            };
            let (pool, mut shutdown) = (db.pool().clone(), rocket.shutdown());
            let keys = tokens.keys().clone();
            let look_at_keys = {
                let (keys, pool) = (keys.clone(), pool.clone());
                async move || {
                    if let Err(error) = keys.look(&pool).await {
                        tracing::warn!(%error, "cannot see which keys sign tokens, looking again");
                    }
                }
            };
            let look_at_revocations = async move || {
                if let Err(error) = revocations.look(&pool).await {
                    tracing::warn!(%error, "cannot see whose tokens were revoked, looking again");
                }
            };
            tokio::join!(look_at_keys(), look_at_revocations());
            tokio::spawn(async move {
                loop {
                    tokio::select! {
                        () = &mut shutdown => return,
                        () = sleep(LOOK) => {}
                        () = keys.asked() => {}
                    }
                    tokio::join!(look_at_keys(), look_at_revocations());
                }
            });
        })
    })
}
