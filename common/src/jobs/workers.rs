//! Heartbeats: which workers are alive, by PostgreSQL's clock.

use std::time::Duration;

use serde::Serialize;
use sqlx::PgPool;

use crate::chaos::{self, Bug};
use crate::id::BootId;
use crate::time::{self, Timestamp};

/// A worker that is alive, or was until a moment ago.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    /// This life of it.
    pub boot_id: BootId,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: i32,
    /// Jobs in hand.
    pub in_hand: i32,
    /// Since when.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// Last sign of life.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub heartbeat_at: Timestamp,
    /// Seconds since then.
    pub silent_seconds: f64,
    /// Whether that is less than a lease. If not, its jobs are anybody's.
    pub alive: bool,
}

/// All workers that have not said goodbye and are not forgotten yet, the oldest first.
///
/// # Errors
/// When the database refuses.
pub async fn list(pool: &PgPool, lease: Duration) -> Result<Vec<Worker>, sqlx::Error> {
    sqlx::query_as(
        "SELECT boot_id, host, pid, in_hand, started_at, heartbeat_at,
                extract(epoch FROM now() - heartbeat_at)::float8 AS silent_seconds,
                heartbeat_at > now() - $1 * interval '1 second' AS alive
         FROM workers ORDER BY started_at, boot_id",
    )
    .bind(lease.as_secs_f64())
    .fetch_all(pool)
    .await
}

/// How many seconds a worker may be silent until its jobs are taken.
pub(super) fn patience(lease: Duration) -> f64 {
    // Less than none: no heartbeat is new enough.
    if chaos::planted(Bug::TakeoverOfLiveJobs) { -60.0 } else { lease.as_secs_f64() }
}

/// Gives a sign of life.
///
/// # Errors
/// When the database refuses.
pub async fn beat(pool: &PgPool, boot: BootId, host: &str, in_hand: usize) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO workers (boot_id, host, pid, in_hand) VALUES ($1, $2, $3, $4)
         ON CONFLICT (boot_id) DO UPDATE SET in_hand = excluded.in_hand, heartbeat_at = now()",
    )
    .bind(boot)
    .bind(host)
    .bind(i32::try_from(std::process::id()).unwrap_or(i32::MAX))
    .bind(i32::try_from(in_hand).unwrap_or(i32::MAX))
    .execute(pool)
    .await?;
    Ok(())
}

/// Whether any worker has given a sign of life within a lease.
///
/// # Errors
/// When the database refuses.
pub async fn any_alive(pool: &PgPool, lease: Duration) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM workers WHERE heartbeat_at > now() - $1 * interval '1 second')")
        .bind(lease.as_secs_f64())
        .fetch_one(pool)
        .await
}

/// How many workers have given a sign of life within a lease.
///
/// # Errors
/// When the database refuses.
pub async fn count_alive(pool: &PgPool, lease: Duration) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM workers WHERE heartbeat_at > now() - $1 * interval '1 second'")
        .bind(lease.as_secs_f64())
        .fetch_one(pool)
        .await
}

/// Says goodbye, so that nobody waits for the heartbeat to run out.
///
/// # Errors
/// When the database refuses.
pub async fn leave(pool: &PgPool, boot: BootId) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM workers WHERE boot_id = $1").bind(boot).execute(pool).await?;
    Ok(())
}

/// Forgets workers that have been silent for a long time: ten leases.
///
/// # Errors
/// When the database refuses.
pub async fn forget_silent(pool: &PgPool, lease: Duration) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM workers WHERE heartbeat_at < now() - $1 * interval '1 second'")
        .bind(lease.as_secs_f64() * 10.0)
        .execute(pool)
        .await?;
    Ok(())
}
