//! How the jobs are as a whole: how many, how late, how fast, and what fails.

use std::time::Duration;

use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use super::act::Group;
use super::dead;
use super::lateness::{Lateness, Starts};
use super::pause::{self, Pause};
use super::workers::{self, Worker};
use crate::time::{self, Timestamp};

/// The newest failures that are looked at to say what fails.
const FAILURES: i64 = 1000;

/// Jobs that are due and wait for a worker.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Due {
    /// How many.
    pub jobs: i64,
    /// Seconds that the oldest of them has been due; nothing without one.
    pub oldest_seconds: Option<f64>,
    /// How late they are by now; nothing without one.
    #[sqlx(skip)]
    pub lateness: Option<Lateness>,
}

/// What the workers do, as their last heartbeats tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workforce {
    /// Workers that have given a sign of life within a lease.
    pub alive: u64,
    /// Workers that have not, and are not forgotten yet.
    pub silent: u64,
    /// Jobs in the hands of the living.
    pub in_hand: i64,
    /// Attempts that they settle in a second.
    pub settled_per_second: f64,
    /// How late the jobs were that they began lately; nothing if they began none.
    pub start_lateness: Option<Lateness>,
}

impl Workforce {
    fn of(workers: &[Worker]) -> Self {
        let mut all = Self::default();
        let mut starts = Starts::default();
        for worker in workers {
            if !worker.alive {
                all.silent += 1;
                continue;
            }
            all.alive += 1;
            all.in_hand += i64::from(worker.in_hand);
            all.settled_per_second += worker.settled_per_second;
            starts.add_all(&worker.starts);
        }
        Self { start_lateness: starts.lateness(), ..all }
    }
}

/// How the jobs are.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = JobStats)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// How many there are of each kind in each state.
    pub jobs: Vec<Group>,
    /// Those that could begin now.
    pub due: Due,
    /// Dead ones that need an operator.
    pub needing_operator: i64,
    /// The pause, if claiming is paused.
    pub paused: Option<Pause>,
    /// What the workers do.
    pub workers: Workforce,
}

/// Counts all jobs, in one snapshot.
///
/// # Errors
/// When the database refuses.
pub async fn stats(pool: &PgPool, lease: Duration) -> Result<Stats, sqlx::Error> {
    let mut snapshot = snapshot(pool).await?;
    let jobs = counts(&mut snapshot, "true").await?;
    let (stats, _) = stats_of(&mut snapshot, jobs, lease).await?;
    snapshot.rollback().await?;
    Ok(stats)
}

/// What is seen at a moment, for whoever looks all the time: nothing in it costs more the longer the shop has run.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = JobsNow)]
#[serde(rename_all = "camelCase")]
pub struct Now {
    /// When that was.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How the jobs are; of their states only those that live.
    #[serde(flatten)]
    pub stats: Stats,
    /// What failed within the last hour, most often first, among the newest failures.
    pub failing: Vec<Failing>,
    /// Who does the jobs.
    pub who: Vec<Worker>,
}

/// An error that jobs of a kind have met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failing {
    /// What the jobs do.
    pub kind: String,
    /// What went wrong.
    pub error: String,
    /// How many jobs have it as their last error.
    pub jobs: i64,
    /// The last time.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub last_at: Timestamp,
}

/// Looks at what lives, and at what failed last.
///
/// # Errors
/// When the database refuses.
pub async fn now(pool: &PgPool, lease: Duration) -> Result<Now, sqlx::Error> {
    let mut snapshot = snapshot(pool).await?;
    let at = sqlx::query_scalar("SELECT now()").fetch_one(&mut *snapshot).await?;
    let jobs = counts(&mut snapshot, "state IN ('scheduled', 'running')").await?;
    let (stats, who) = stats_of(&mut snapshot, jobs, lease).await?;
    let failing = failing(&mut snapshot).await?;
    snapshot.rollback().await?;
    Ok(Now { at, stats, failing, who })
}

/// What has to end before the jobs are drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Remaining {
    /// Jobs that are due and wait for a worker.
    pub due: i64,
    /// Jobs in hand.
    pub running: i64,
    /// Jobs that are not due yet.
    pub later: i64,
}

/// Counts what lives.
///
/// # Errors
/// When the database refuses.
pub async fn remaining(pool: &PgPool) -> Result<Remaining, sqlx::Error> {
    sqlx::query_as(
        "SELECT count(*) FILTER (WHERE state = 'scheduled' AND run_at <= now()) AS due,
                count(*) FILTER (WHERE state = 'running') AS running,
                count(*) FILTER (WHERE state = 'scheduled' AND run_at > now()) AS later
         FROM jobs WHERE state IN ('scheduled', 'running')",
    )
    .fetch_one(pool)
    .await
}

async fn snapshot(pool: &PgPool) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, sqlx::Error> {
    let mut snapshot = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    // A large shop takes its time; the usual limit is for requests.
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *snapshot).await?;
    Ok(snapshot)
}

async fn stats_of(
    snapshot: &mut PgConnection,
    jobs: Vec<Group>,
    lease: Duration,
) -> Result<(Stats, Vec<Worker>), sqlx::Error> {
    let due = due(snapshot).await?;
    let needing = dead::count_needing_operator(&mut *snapshot).await?;
    let needing_operator = needing.iter().map(|(_, jobs)| jobs).sum();
    let paused = pause::current(&mut *snapshot).await?;
    let who = workers::list(snapshot, lease).await?;
    Ok((Stats { jobs, due, needing_operator, paused, workers: Workforce::of(&who) }, who))
}

async fn counts(snapshot: &mut PgConnection, which: &'static str) -> Result<Vec<Group>, sqlx::Error> {
    let rows: Vec<(String, super::JobState, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT kind, state, count(*) FROM jobs WHERE {which} GROUP BY kind, state ORDER BY kind, state"
    )))
    .fetch_all(snapshot)
    .await?;
    Ok(rows.into_iter().map(|(kind, state, jobs)| Group { kind, state, jobs: jobs.unsigned_abs() }).collect())
}

/// By `jobs_due`.
async fn due(snapshot: &mut PgConnection) -> Result<Due, sqlx::Error> {
    let (jobs, oldest_seconds, p50, p99): (i64, Option<f64>, Option<f64>, Option<f64>) = sqlx::query_as(
        "SELECT count(*), max(late), percentile_disc(0.5) WITHIN GROUP (ORDER BY late),
                percentile_disc(0.99) WITHIN GROUP (ORDER BY late)
         FROM (SELECT extract(epoch FROM now() - run_at)::float8 AS late FROM jobs
               WHERE state = 'scheduled' AND run_at <= now()) due",
    )
    .fetch_one(snapshot)
    .await?;
    let lateness = p50.zip(p99).map(|(p50, p99)| Lateness { p50, p99 });
    Ok(Due { jobs, oldest_seconds, lateness })
}

/// By `jobs_with_error`.
async fn failing(snapshot: &mut PgConnection) -> Result<Vec<Failing>, sqlx::Error> {
    sqlx::query_as(
        "SELECT kind, last_error AS error, count(*) AS jobs, max(updated_at) AS last_at
         FROM (SELECT kind, last_error, updated_at FROM jobs
               WHERE last_error IS NOT NULL AND updated_at > now() - interval '1 hour'
               ORDER BY updated_at DESC LIMIT $1) failures
         GROUP BY kind, last_error ORDER BY count(*) DESC, max(updated_at) DESC LIMIT 10",
    )
    .bind(FAILURES)
    .fetch_all(snapshot)
    .await
}
