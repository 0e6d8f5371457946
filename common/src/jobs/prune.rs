//! Pruning: finished jobs are deleted when they are old, and with them what came of their attempts.
//!
//! Nothing of the shop leans on a finished job whose order has ended: `verify` counts live ones, a repair looks for those
//! of open orders, the timeline of an order is made of its events, audits and refunds go by the payment and its key.
//! What is lost is what `jobs list`, `show` and `history` could say of them.

use sqlx::{PgPool, Postgres, QueryBuilder};

use super::filter::JobFilter;
use crate::id::JobId;
use crate::time::Timestamp;

/// Jobs that one statement deletes, at most.
const PAGE: i64 = 1000;

/// Jobs `j` of orders `o` that ended before a time, and that nobody needs.
fn push_prunable(query: &mut QueryBuilder<Postgres>, filter: &JobFilter, ended_before: Timestamp) {
    query.push(
        " FROM jobs j JOIN orders o ON o.id = j.order_id
         WHERE j.state IN ('completed', 'dead', 'cancelled') AND o.status NOT IN ('PENDING', 'PROCESSING')
           AND NOT EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.refunded_at IS NULL)
           AND j.updated_at < ",
    );
    query.push_bind(ended_before);
    filter.push(query);
}

/// The time before which a job must have ended to be this old, by the database's clock.
///
/// # Errors
/// When the database refuses, or knows no such time.
pub async fn before(pool: &PgPool, age: std::time::Duration) -> Result<Timestamp, sqlx::Error> {
    sqlx::query_scalar("SELECT now() - interval '1 second' * $1").bind(age.as_secs_f64()).fetch_one(pool).await
}

/// How many jobs that ended before that time can be deleted.
///
/// # Errors
/// When the database refuses.
pub async fn count(pool: &PgPool, filter: &JobFilter, ended_before: Timestamp) -> Result<u64, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // There may be very many; the usual limit is for requests.
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *transaction).await?;
    let mut query = QueryBuilder::new("SELECT count(*)");
    push_prunable(&mut query, filter, ended_before);
    let jobs: i64 = query.build_query_scalar().fetch_one(&mut *transaction).await?;
    transaction.rollback().await?;
    Ok(jobs.unsigned_abs())
}

/// Where to go on: behind the job that ended last of those that were looked at.
pub type Behind = (Timestamp, JobId);

/// What a page has deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Jobs.
    pub jobs: u64,
    /// What came of their attempts.
    pub attempts: u64,
    /// Where the next page begins; nothing after the last one.
    pub next: Option<Behind>,
}

/// Deletes a page of them, at most 1,000, those that ended first. Rows that somebody holds are passed over.
///
/// # Errors
/// When the database refuses; then nothing of this page was deleted.
pub async fn prune_page(
    pool: &PgPool,
    filter: &JobFilter,
    ended_before: Timestamp,
    after: Option<Behind>,
) -> Result<Pruned, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // A filter that leaves few of very many looks at many for a page.
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *transaction).await?;
    let mut query = QueryBuilder::new("WITH page AS (SELECT j.id, j.kind, j.order_id, j.updated_at");
    push_prunable(&mut query, filter, ended_before);
    if let Some((updated_at, job)) = after {
        query.push(" AND (j.updated_at, j.id) > (").push_bind(updated_at).push(", ").push_bind(job).push(")");
    }
    // By `jobs_by_updated_at`.
    query.push(" ORDER BY j.updated_at, j.id LIMIT ").push_bind(PAGE).push(
        " FOR UPDATE OF j SKIP LOCKED
         ), jobs_gone AS (
             DELETE FROM jobs USING page WHERE jobs.id = page.id RETURNING jobs.id
         ), attempts_gone AS (
             DELETE FROM payment_attempts a USING payments p, page
             WHERE page.kind <> 'refund_payment' AND p.order_id = page.order_id AND a.payment_id = p.id
               AND a.created_at < ",
    );
    query.push_bind(ended_before);
    query.push(
        " RETURNING a.payment_id
         )
         SELECT (SELECT count(*) FROM jobs_gone), (SELECT count(*) FROM attempts_gone),
                (SELECT updated_at FROM page ORDER BY updated_at DESC, id DESC LIMIT 1),
                (SELECT id FROM page ORDER BY updated_at DESC, id DESC LIMIT 1)",
    );
    let (jobs, attempts, updated_at, job): (i64, i64, Option<Timestamp>, Option<JobId>) =
        query.build_query_as().fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Pruned { jobs: jobs.unsigned_abs(), attempts: attempts.unsigned_abs(), next: updated_at.zip(job) })
}
