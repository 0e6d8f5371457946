//! Revoked tokens: which of them do not count any more, although they have not expired.
//!
//! A token names the generation that its user was in. Every api looks each second whose
//! generation has moved, and keeps that in memory: no request waits for the database to be let in.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use chrono::TimeDelta;
use rocket::fairing::AdHoc;
use rocket_db_pools::Database;
use shop_common::db;
use shop_common::id::UserId;
use shop_common::time::Timestamp;
use shop_common::users::queries::{self, Revoked};
use shop_common::users::tickets::Holder;
use sqlx::PgPool;
use tokio::time::timeout;

use crate::db::Db;
use crate::error::ApiError;
use crate::realtime::hub::Hub;

/// How often the table is looked at: how long a revoked token may still be good.
const LOOK: Duration = Duration::from_secs(1);
/// A look goes back so much further than the one before, for what was written before it and committed after it.
const OVERLAP: TimeDelta = TimeDelta::minutes(1);

/// The generations of the users whose tokens were ever revoked. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Revocations(Arc<RwLock<Seen>>);

#[derive(Default)]
struct Seen {
    generations: HashMap<UserId, i32>,
    /// When the last of them was revoked, as far as is known. None before the first look.
    until: Option<Timestamp>,
}

impl Revocations {
    /// Whether a request with that token may go on. Before the first look nobody knows.
    pub(crate) fn check(&self, holder: &Holder) -> Result<(), ApiError> {
        if self.read().until.is_none() {
            return Err(ApiError::Unavailable);
        }
        if self.revoked(holder) { Err(ApiError::TokenRevoked) } else { Ok(()) }
    }

    /// Whether a token is known to be revoked.
    pub(crate) fn revoked(&self, holder: &Holder) -> bool {
        self.read().generations.get(&holder.user_id).is_some_and(|current| holder.token_generation < *current)
    }

    /// Looks at the table, and gives the users whose generation has moved since the last look.
    async fn look(&self, pool: &PgPool) -> Result<Vec<UserId>, sqlx::Error> {
        let since = self.read().until.map(|until| until - OVERLAP);
        let pool = pool.clone();
        let found = db::bounded(async move { queries::revoked_since(&pool, since).await });
        let found = found.await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let until = seen.until.unwrap_or(Timestamp::UNIX_EPOCH);
        seen.until = Some(found.iter().map(|revoked| revoked.revoked_at).fold(until, Timestamp::max));
        let mut moved = Vec::new();
        for Revoked { id, token_generation, .. } in found {
            let known = seen.generations.entry(id).or_insert(0);
            if token_generation > *known {
                *known = token_generation;
                moved.push(id);
            }
        }
        Ok(moved)
    }

    fn read(&self) -> RwLockReadGuard<'_, Seen> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks each second, and wakes the sockets of who was revoked.
pub(crate) fn fairing() -> AdHoc {
    AdHoc::on_liftoff("Revocations", move |rocket| {
        Box::pin(async move {
            let (Some(revocations), Some(hub), Some(db)) =
                (rocket.state::<Revocations>().cloned(), rocket.state::<Hub>().cloned(), Db::fetch(rocket))
            else {
                return;
            };
            let (pool, mut shutdown) = (db.pool().clone(), rocket.shutdown());
            let look = async move || match revocations.look(&pool).await {
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
