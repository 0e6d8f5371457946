//! Revoked tokens: which of them do not count any more, although they have not expired.
//!
//! A token names the generation that its user was in. Every api looks each second whose
//! generation has moved, and keeps that in memory: no request waits for the database to be let in.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rocket::fairing::AdHoc;
use rocket_db_pools::Database;
use shop_common::db;
use shop_common::id::UserId;
use shop_common::users::queries;
use shop_common::users::tickets::Holder;
use sqlx::PgPool;
use tokio::time::timeout;

use crate::db::Db;
use crate::realtime::hub::Hub;

/// How often the table is looked at: how long a revoked token may still be good.
const LOOK: Duration = Duration::from_secs(1);
/// A token of before a restart may have been good for longer than the settings say now.
const AT_LEAST: Duration = Duration::from_secs(24 * 3600);

/// The generations of the users whose tokens were revoked not long ago. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Revocations(Arc<RwLock<HashMap<UserId, i32>>>);

impl Revocations {
    /// Whether what that token opened may go on.
    pub(crate) fn allow(&self, holder: &Holder) -> bool {
        let generations = self.0.read().unwrap_or_else(PoisonError::into_inner);
        generations.get(&holder.user_id).is_none_or(|current| holder.token_generation >= *current)
    }

    /// Looks at the table, and gives the users whose generation has moved since the last look.
    async fn look(&self, pool: &PgPool, within: Duration) -> Result<Vec<UserId>, sqlx::Error> {
        let pool = pool.clone();
        let found = db::bounded(async move { queries::revoked_within(&pool, within).await });
        let now: HashMap<_, _> = found.await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?.into_iter().collect();
        let mut before = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let moved = now.iter().filter(|(user, generation)| before.get(user) != Some(generation));
        let moved = moved.map(|(user, _)| *user).collect();
        *before = now;
        Ok(moved)
    }
}

/// Looks once before the first request is answered, then each second, and wakes the sockets of who was revoked.
pub(crate) fn fairing(token_seconds: u64) -> AdHoc {
    let within = AT_LEAST.max(Duration::from_secs(token_seconds));
    AdHoc::on_liftoff("Revocations", move |rocket| {
        Box::pin(async move {
            let (Some(revocations), Some(hub), Some(db)) =
                (rocket.state::<Revocations>().cloned(), rocket.state::<Hub>().cloned(), Db::fetch(rocket))
            else {
                return;
            };
            let (pool, mut shutdown) = (db.pool().clone(), rocket.shutdown());
            let look = async move || match revocations.look(&pool, within).await {
                Ok(moved) => hub.wake(moved),
                Err(error) => tracing::warn!(%error, "cannot see whose tokens were revoked, looking again"),
            };
            look().await;
            tokio::spawn(async move {
                while timeout(LOOK, &mut shutdown).await.is_err() {
                    look().await;
                }
            });
        })
    })
}
