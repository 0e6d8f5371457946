//! The table of jobs: the truth of which job is where.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use super::queue::Lease;
use super::{ChargePayment, JobState, PayloadError, RefundPayment, Task, Token, workers};
use crate::db::TransactionId;
use crate::id::{BootId, JobId, OrderId, PaymentId};
use crate::time::{self, Timestamp};
use crate::trace;

/// How early a job may be taken: the clocks of Redis and PostgreSQL differ a little.
const EARLY: Duration = Duration::from_secs(1);

/// A job that a worker has just taken.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct TakenJob {
    /// The job.
    pub id: JobId,
    /// The proof that it is ours.
    pub token: Token,
    /// What is to be done.
    pub kind: String,
    /// In which version.
    pub version: i16,
    /// To what.
    pub payload: Value,
    /// For which order.
    pub order_id: OrderId,
    /// Answers of the gateway so far.
    pub attempts: i32,
    /// Claims so far, this one included.
    pub claims: i32,
    /// Times it was put back on the schedule, but for crashes.
    pub retries: i32,
    /// Seconds since it was made.
    pub age_seconds: f64,
    /// Seconds since it was due.
    pub lateness_seconds: f64,
    /// Whether it was a silent worker's.
    pub taken_over: bool,
    /// Why an operator has given its order up.
    pub give_up: Option<String>,
    /// The HTTP request that made it.
    pub request_id: Option<String>,
    /// The trace of that request.
    #[sqlx(flatten)]
    pub trace: trace::Kept,
}

impl TakenJob {
    /// What is to be done. Nothing if the kind or its version is none that this program knows.
    pub fn task(&self) -> Option<Task> {
        Task::of(&self.kind, self.version)
    }

    /// Reads to which payment it is to be done.
    ///
    /// # Errors
    /// When the kind or the version is none that this program knows, or the payload is not what they say.
    pub fn parse(&self) -> Result<PaymentId, PayloadError> {
        let Self { kind, version, payload, .. } = self;
        match self.task() {
            Some(Task::Refund) => RefundPayment::parse(kind, *version, payload).map(|refund| refund.payment_id),
            Some(Task::Charge) | None => ChargePayment::parse(kind, *version, payload).map(|charge| charge.payment_id),
        }
    }

    /// Claims before this one after which nobody gave the job back: the worker died, or the handler panicked.
    pub fn crashes(&self) -> i32 {
        self.claims - 1 - self.retries
    }
}

/// What became of leases that were not taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotTaken {
    /// Not due yet: to be put back for so long.
    pub early: Vec<(Lease, Duration)>,
    /// Gone, finished, or in good hands: to be dropped.
    pub ghosts: Vec<Lease>,
}

/// Takes those jobs that are scheduled and due, or whose worker has been silent for
/// a lease; none while claiming is [paused](super::pause). Of two workers that try, one wins; the other does not wait, because what
/// it would find then is not what its snapshot says of the workers.
///
/// Gives them with the transaction that takes them, or nothing if there are none.
///
/// The states are guards and never how a row is found: see [`crate::db::pool_by_key`].
pub(crate) async fn take(
    connection: &mut PgConnection,
    leases: &[Lease],
    boot: BootId,
    lease: Duration,
) -> Result<Option<(Vec<TakenJob>, TransactionId)>, sqlx::Error> {
    #[derive(sqlx::FromRow)]
    struct Row {
        transaction: TransactionId,
        #[sqlx(flatten)]
        job: TakenJob,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "WITH takeable AS (
             SELECT j.id, w.token, j.state = 'running' AS taken_over
             FROM jobs j JOIN unnest($1::uuid[], $2::text[]) AS w (id, token) USING (id)
             WHERE NOT EXISTS (SELECT FROM queue_pause FOR KEY SHARE)
               AND (j.state IS NOT DISTINCT FROM 'scheduled' AND j.run_at <= now() + $3 * interval '1 second'
                    OR j.state IS NOT DISTINCT FROM 'running' AND NOT EXISTS (
                        SELECT FROM workers k
                        WHERE k.boot_id = j.boot_id AND k.heartbeat_at > now() - $4 * interval '1 second'))
             ORDER BY j.id FOR NO KEY UPDATE OF j SKIP LOCKED
         )
         UPDATE jobs j
         SET state = 'running', token = t.token, boot_id = $5, claims = claims + 1, updated_at = now()
         FROM takeable t WHERE j.id = t.id
         RETURNING j.id, j.token, j.kind, j.version, j.payload, j.order_id, j.attempts, j.claims, j.retries, j.request_id,
                   j.traceparent, j.tracestate, j.give_up, extract(epoch FROM now() - j.created_at)::float8 AS age_seconds,
                   greatest(0, extract(epoch FROM now() - j.run_at))::float8 AS lateness_seconds, t.taken_over,
                   pg_current_xact_id()::text::bigint AS transaction",
    )
    .bind(leases.iter().map(|lease| lease.job).collect::<Vec<_>>())
    .bind(leases.iter().map(|lease| lease.token.as_str()).collect::<Vec<_>>())
    .bind(EARLY.as_secs_f64())
    .bind(workers::patience(lease))
    .bind(boot)
    .fetch_all(connection)
    .await?;
    let transaction = rows.first().map(|row| row.transaction);
    Ok(transaction.map(|transaction| (rows.into_iter().map(|row| row.job).collect(), transaction)))
}

/// Sorts out why leases were not taken.
///
/// # Errors
/// When the database refuses.
pub async fn not_taken(pool: &PgPool, leases: Vec<Lease>) -> Result<NotTaken, sqlx::Error> {
    let ids: Vec<JobId> = leases.iter().map(|lease| lease.job).collect();
    let waits: Vec<(JobId, f64)> = sqlx::query_as(
        "SELECT id, greatest(0, extract(epoch FROM run_at - now()))::float8 FROM jobs
         WHERE id = ANY($1) AND state IS NOT DISTINCT FROM 'scheduled'",
    )
    .bind(&ids)
    .fetch_all(pool)
    .await?;
    let mut sorted = NotTaken::default();
    for lease in leases {
        match waits.iter().find(|(id, _)| *id == lease.job) {
            Some((_, seconds)) => sorted.early.push((lease, Duration::from_secs_f64(*seconds))),
            None => sorted.ghosts.push(lease),
        }
    }
    Ok(sorted)
}

/// Whether the job is held under that token.
pub(crate) async fn is_held(pool: &PgPool, job: JobId, token: &Token) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM jobs WHERE id = $1 AND token = $2)")
        .bind(job)
        .bind(token)
        .fetch_one(pool)
        .await
}

/// Ends jobs that nobody can do; `verify` reports their orders if these are still open.
pub(crate) async fn bury(connection: &mut PgConnection, jobs: &[JobId], reason: &str) -> Result<(), sqlx::Error> {
    if jobs.is_empty() {
        return Ok(());
    }
    tracing::error!(?jobs, reason, "jobs are buried: an operator must look at them");
    sqlx::query(
        "UPDATE jobs SET state = 'dead', last_error = $2, updated_at = now()
         WHERE id = ANY($1) AND state IS NOT DISTINCT FROM 'running'",
    )
    .bind(jobs)
    .bind(reason)
    .execute(connection)
    .await?;
    Ok(())
}

/// Why a job is given back without an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenBack {
    /// Its worker stops, or cannot do it; that says nothing against the job.
    Undone,
    /// Its handler died. So often, and the job is poison.
    Crashed,
}

/// Gives jobs back that this worker has not done: they are due after the delay.
///
/// # Errors
/// When the database refuses.
pub async fn release(pool: &PgPool, leases: &[Lease], delay: Duration, why: GivenBack) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE jobs SET state = 'scheduled', run_at = now() + $3 * interval '1 second', retries = retries + $4,
                updated_at = now()
         FROM unnest($1::uuid[], $2::text[]) AS t (id, token)
         WHERE jobs.id = t.id AND jobs.token = t.token AND state IS NOT DISTINCT FROM 'running'",
    )
    .bind(leases.iter().map(|lease| lease.job).collect::<Vec<_>>())
    .bind(leases.iter().map(|lease| lease.token.as_str()).collect::<Vec<_>>())
    .bind(delay.as_secs_f64())
    .bind(i32::from(why == GivenBack::Undone))
    .execute(pool)
    .await?;
    Ok(())
}

/// Gives jobs back that the table says are this worker's since a while, but that it
/// does not have in hand: claims whose answer got lost. Gives how many.
///
/// # Errors
/// When the database refuses.
pub async fn disown(pool: &PgPool, boot: BootId, in_hand: &[Lease], since: Duration) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE jobs SET state = 'scheduled', run_at = now(), retries = retries + 1, updated_at = now()
         WHERE boot_id = $1 AND state = 'running' AND token <> ALL($2) AND updated_at < now() - $3 * interval '1 second'",
    )
    .bind(boot)
    .bind(in_hand.iter().map(|lease| lease.token.as_str()).collect::<Vec<_>>())
    .bind(since.as_secs_f64())
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// A job as an operator sees it.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobRecord {
    /// Which one.
    pub id: JobId,
    /// What is to be done.
    pub kind: String,
    /// In which version.
    pub version: i16,
    /// To what.
    pub payload: Value,
    /// For which order.
    pub order_id: OrderId,
    /// How far it is.
    pub state: JobState,
    /// When it is due, or was.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub run_at: Timestamp,
    /// Answers of the gateway so far.
    pub attempts: i32,
    /// Times it was put back on the schedule.
    pub retries: i32,
    /// Claims so far.
    pub claims: i32,
    /// The last claim's proof.
    #[serde(skip)]
    pub token: Option<Token>,
    /// The worker of the last claim.
    pub boot_id: Option<BootId>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Why an operator has given its order up.
    pub give_up: Option<String>,
    /// The HTTP request that made it.
    pub request_id: Option<String>,
    /// The trace that it goes on with, as a W3C `traceparent`.
    #[sqlx(rename = "traceparent")]
    pub trace: Option<String>,
    /// When it was made.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it changed last.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// What came of a claim.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptRecord {
    /// The claim's number.
    pub claim: i32,
    /// The key that was charged.
    pub charge_key: String,
    /// What the gateway said.
    pub outcome: String,
    /// Why.
    pub code: Option<String>,
    /// When it was settled.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// How many seconds it takes until a scheduled job is due, by the database's clock; less than nothing when it is due
/// already. Nothing if it is not scheduled.
///
/// # Errors
/// When the database refuses.
pub async fn due_in(pool: &PgPool, id: JobId) -> Result<Option<f64>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT extract(epoch FROM run_at - now())::float8 FROM jobs WHERE id = $1 AND state = 'scheduled'",
    )
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// A job and what came of its claims. Those of a refund are not recorded one by one.
///
/// # Errors
/// When the database refuses.
pub async fn find(pool: &PgPool, id: JobId) -> Result<Option<(JobRecord, Vec<AttemptRecord>)>, sqlx::Error> {
    let job: Option<JobRecord> =
        sqlx::query_as("SELECT * FROM jobs WHERE id = $1").bind(id).fetch_optional(pool).await?;
    let Some(job) = job else { return Ok(None) };
    if job.kind == RefundPayment::KIND {
        return Ok(Some((job, Vec::new())));
    }
    let attempts = attempts(pool, job.order_id).await?;
    Ok(Some((job, attempts)))
}

/// What came of the attempts to charge an order's payment, in their order.
///
/// # Errors
/// When the database refuses.
pub async fn attempts(pool: &PgPool, order: OrderId) -> Result<Vec<AttemptRecord>, sqlx::Error> {
    sqlx::query_as(
        "SELECT a.claim, a.charge_key, a.outcome, a.code, a.created_at
         FROM payment_attempts a JOIN payments p ON p.id = a.payment_id WHERE p.order_id = $1 ORDER BY a.claim",
    )
    .bind(order)
    .fetch_all(pool)
    .await
}
