//! Whether the servers that a daemon leans on can be reached.

use std::time::Duration;

use serde::Serialize;
use sqlx::PgPool;
use tokio::time::timeout;

use crate::db;
use crate::redis::Redis;

const PATIENCE: Duration = Duration::from_secs(1);

/// What can be reached, by name.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Readiness {
    /// `ready`, `degraded` (Redis is away: orders are taken, nothing is lost) or `unavailable`.
    pub status: &'static str,
    /// `ok`, or what is wrong with PostgreSQL.
    pub postgres: &'static str,
    /// `ok`, or what is wrong with Redis.
    pub redis: &'static str,
}

impl Readiness {
    /// Whether traffic should come: PostgreSQL is there, with its schema.
    pub fn can_serve(&self) -> bool {
        self.postgres == "ok"
    }
}

/// Says in the log when Redis may throw jobs away: the schedule would be mended again and again.
pub async fn warn_of_eviction(redis: &Redis) {
    if let Ok(Some(policy)) = redis.eviction_policy().await
        && policy != "noeviction"
    {
        tracing::error!(policy, "Redis may evict the schedule; set its maxmemory-policy to noeviction");
    }
}

/// Asks both servers, for a second at most.
pub async fn check(pool: &PgPool, redis: &Redis) -> Readiness {
    let (postgres, redis) = tokio::join!(timeout(PATIENCE, db::schema_state(pool)), timeout(PATIENCE, redis.ping()));
    let postgres = match postgres {
        Ok(Ok(db::SchemaState::Current)) => "ok",
        Ok(Ok(db::SchemaState::Behind)) => "migrations are missing: run `shopctl migrate run`",
        Ok(Err(_)) | Err(_) => "away",
    };
    let redis = if matches!(redis, Ok(Ok(()))) { "ok" } else { "away" };
    let status = match (postgres, redis) {
        ("ok", "ok") => "ready",
        ("ok", _) => "degraded",
        _ => "unavailable",
    };
    Readiness { status, postgres, redis }
}
