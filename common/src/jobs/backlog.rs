//! The backlog: how much waits in the table of jobs, and for how long. It is what operators and autoscalers go by.
//!
//! Only live jobs are counted, by the partial indexes that claiming and reconciling use too: the millions that are done
//! cost nothing.

use sqlx::PgPool;

/// Jobs of each state that are counted: whoever has more knows enough, and a look stays cheap.
pub const AT_MOST: u32 = 100_000;

/// What lives of one kind.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Live {
    /// The kind, as the table has it.
    pub kind: String,
    /// Jobs that wait for their time, or for a worker.
    pub scheduled: i64,
    /// Jobs that a worker has.
    pub running: i64,
    /// Jobs that wait for a worker.
    pub due: i64,
    /// How many seconds the oldest of them has been due; 0 without one.
    pub oldest_due_seconds: f64,
}

/// How much lives, of each kind that has any.
///
/// # Errors
/// When the database refuses.
pub async fn live(pool: &PgPool) -> Result<Vec<Live>, sqlx::Error> {
    sqlx::query_as(
        "SELECT kind, count(*) FILTER (WHERE state = 'scheduled') AS scheduled,
                count(*) FILTER (WHERE state = 'running') AS running,
                count(*) FILTER (WHERE state = 'scheduled' AND run_at <= now()) AS due,
                coalesce(extract(epoch FROM now() - min(run_at) FILTER (WHERE state = 'scheduled' AND run_at <= now())),
                         0)::float8 AS oldest_due_seconds
         FROM (
             (SELECT kind, state, run_at FROM jobs WHERE state = 'scheduled' ORDER BY run_at, id LIMIT $1)
             UNION ALL (SELECT kind, state, run_at FROM jobs WHERE state = 'running' LIMIT $1)
         ) live GROUP BY kind",
    )
    .bind(i64::from(AT_MOST))
    .fetch_all(pool)
    .await
}
