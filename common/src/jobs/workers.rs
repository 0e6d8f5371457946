//! Heartbeats: which workers are alive, by PostgreSQL's clock, and what they have been doing lately.

use std::time::Duration;

use serde::Serialize;
use sqlx::{PgExecutor, PgPool};

use super::lateness::{Lateness, Starts};
use crate::chaos::{self, Bug};
use crate::id::BootId;
use crate::time::{self, Timestamp};

/// A worker that is alive, or was until a moment ago.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
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
    /// Attempts that it has settled.
    pub settled: i64,
    /// As many of them in a second, between its last two heartbeats.
    pub settled_per_second: f64,
    /// How late the jobs were that it began between them; nothing if it began none.
    pub start_lateness: Option<Lateness>,
    /// The same as it can be added up.
    #[serde(skip)]
    pub starts: Starts,
}

#[derive(sqlx::FromRow)]
struct Row {
    boot_id: BootId,
    host: String,
    pid: i32,
    in_hand: i32,
    started_at: Timestamp,
    heartbeat_at: Timestamp,
    silent_seconds: f64,
    alive: bool,
    settled: i64,
    settled_per_second: f64,
    lately_started: Vec<i32>,
}

impl From<Row> for Worker {
    fn from(row: Row) -> Self {
        let starts = Starts::of(row.lately_started);
        Self {
            boot_id: row.boot_id,
            host: row.host,
            pid: row.pid,
            in_hand: row.in_hand,
            started_at: row.started_at,
            heartbeat_at: row.heartbeat_at,
            silent_seconds: row.silent_seconds,
            alive: row.alive,
            settled: row.settled,
            settled_per_second: row.settled_per_second,
            start_lateness: starts.lateness(),
            starts,
        }
    }
}

/// All workers that have not said goodbye and are not forgotten yet, the oldest first.
///
/// # Errors
/// When the database refuses.
pub async fn list(connection: impl PgExecutor<'_>, lease: Duration) -> Result<Vec<Worker>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT boot_id, host, pid, in_hand, started_at, heartbeat_at, settled, lately_started,
                coalesce(lately_settled / nullif(lately_seconds, 0), 0) AS settled_per_second,
                extract(epoch FROM now() - heartbeat_at)::float8 AS silent_seconds,
                heartbeat_at > now() - $1 * interval '1 second' AS alive
         FROM workers ORDER BY started_at, boot_id",
    )
    .bind(lease.as_secs_f64())
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Worker::from).collect())
}

/// How many seconds a worker may be silent until its jobs are taken.
pub(super) fn patience(lease: Duration) -> f64 {
    // Less than none: no heartbeat is new enough.
    if chaos::planted(Bug::TakeoverOfLiveJobs) { -60.0 } else { lease.as_secs_f64() }
}

/// What a heartbeat tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pulse {
    /// Jobs in hand.
    pub in_hand: usize,
    /// Attempts that were settled since the worker began.
    pub settled: u64,
    /// How long ago the heartbeat before was.
    pub lately: Duration,
    /// Attempts that were settled since then.
    pub lately_settled: u64,
    /// Jobs that began since then.
    pub lately_started: Starts,
}

/// Gives a sign of life.
///
/// # Errors
/// When the database refuses.
pub async fn beat(pool: &PgPool, boot: BootId, host: &str, pulse: &Pulse) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO workers (boot_id, host, pid, in_hand, settled, lately_seconds, lately_settled, lately_started)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (boot_id) DO UPDATE
         SET in_hand = excluded.in_hand, heartbeat_at = now(), settled = excluded.settled,
             lately_seconds = excluded.lately_seconds, lately_settled = excluded.lately_settled,
             lately_started = excluded.lately_started",
    )
    .bind(boot)
    .bind(host)
    .bind(i32::try_from(std::process::id()).unwrap_or(i32::MAX))
    .bind(i32::try_from(pulse.in_hand).unwrap_or(i32::MAX))
    .bind(i64::try_from(pulse.settled).unwrap_or(i64::MAX))
    .bind(pulse.lately.as_secs_f64())
    .bind(i64::try_from(pulse.lately_settled).unwrap_or(i64::MAX))
    .bind(pulse.lately_started.counts())
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
