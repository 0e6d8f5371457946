//! Reconciling: due jobs that the table knows and the schedule may have lost.

use std::time::Duration;

use sqlx::PgPool;

use super::queue::{CHUNK, Queue};
use super::workers;
use crate::chaos::{self, Bug};
use crate::id::JobId;
use crate::time::Timestamp;

/// A job is looked for when it is overdue by so much; until then its enqueue is still on the way.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// Why reconciling stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// PostgreSQL is away.
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
    /// Redis is away.
    #[error("Redis: {0}")]
    Redis(#[from] redis::RedisError),
}

/// Puts due jobs that nobody runs back on the schedule. Gives how many were missing.
///
/// # Errors
/// When a server is away; the next round goes on.
pub async fn reconcile(pool: &PgPool, queue: &Queue, lease: Duration) -> Result<usize, ReconcileError> {
    if chaos::planted(Bug::NoReconcile) {
        return Ok(0);
    }
    let overdue = if chaos::planted(Bug::EnqueueBeforeCommitOnly) { 0 } else { schedule_overdue(pool, queue).await? };
    let orphans = if chaos::planted(Bug::PopWithoutLease) { Vec::new() } else { orphans(pool, lease).await? };
    Ok(overdue + schedule(queue, orphans).await?)
}

/// Goes through the jobs that are overdue, oldest first, as long as a page of them adds anything.
///
/// A schedule that has them all costs one page and one script call; an empty
/// Redis is filled page by page, without ceremony.
async fn schedule_overdue(pool: &PgPool, queue: &Queue) -> Result<usize, ReconcileError> {
    let mut missing = 0;
    let mut after: Option<(Timestamp, JobId)> = None;
    loop {
        let page: Vec<(Timestamp, JobId)> = sqlx::query_as(
            "SELECT run_at, id FROM jobs
             WHERE state = 'scheduled' AND run_at <= now() - $1 * interval '1 second'
               AND ($2::timestamptz IS NULL OR (run_at, id) > ($2, $3))
             ORDER BY run_at, id LIMIT $4",
        )
        .bind(GRACE.as_secs_f64())
        .bind(after.map(|(run_at, _)| run_at))
        .bind(after.map(|(_, id)| id))
        .bind(i64::try_from(CHUNK).unwrap_or(i64::MAX))
        .fetch_all(pool)
        .await?;
        after = page.last().copied();
        let added = schedule(queue, page.iter().map(|(_, id)| *id)).await?;
        missing += added;
        if added == 0 || page.len() < CHUNK {
            return Ok(missing);
        }
    }
}

/// Jobs that are running, says the table, but whose worker has been silent for a lease.
async fn orphans(pool: &PgPool, lease: Duration) -> Result<Vec<JobId>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT id FROM jobs WHERE state = 'running' AND NOT EXISTS (
             SELECT FROM workers w WHERE w.boot_id = jobs.boot_id AND w.heartbeat_at > now() - $1 * interval '1 second'
         ) ORDER BY id LIMIT $2",
    )
    .bind(workers::patience(lease))
    .bind(i64::try_from(CHUNK).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await
}

async fn schedule(queue: &Queue, jobs: impl IntoIterator<Item = JobId>) -> redis::RedisResult<usize> {
    let due_now: Vec<_> = jobs.into_iter().map(|job| (job, Duration::ZERO)).collect();
    queue.schedule(&due_now).await
}
