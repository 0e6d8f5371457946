//! Dead jobs: those that need an operator, and what an operator can do about them.
//!
//! Most dead jobs are a normal end: the payment was declined or voided and the order has
//! failed. One whose order is still open has stopped in the middle, and so has one whose refund is not done.

use serde::Serialize;
use sqlx::{PgConnection, PgPool, QueryBuilder};
use uuid::Uuid;

use super::ledger::JobRecord;
use super::{JobState, RefundPayment};
use crate::db::Ending;
use crate::id::{JobId, OrderId};
use crate::orders::status::OrderStatus;
use crate::reason::Reason;

/// The orders that are open or to be refunded and have no live job, each with the job that died last of those that
/// do this. There are few of them among very many dead jobs.
const NEEDS_OPERATOR: &str = "(
         SELECT id, false AS is_refund FROM orders WHERE status IN ('PENDING', 'PROCESSING')
         UNION ALL SELECT order_id, true FROM refunds WHERE refunded_at IS NULL
     ) unfinished JOIN orders o USING (id) CROSS JOIN LATERAL (
         SELECT * FROM jobs
         WHERE order_id = o.id AND state = 'dead' AND (kind = 'refund_payment') = unfinished.is_refund
         ORDER BY id DESC LIMIT 1
     ) j
     WHERE NOT EXISTS (
         SELECT FROM jobs live WHERE live.order_id = o.id AND live.state IN ('scheduled', 'running'))";

/// Whether a job `j` of an order `o` has not done its duty yet.
const UNFINISHED: &str = "CASE j.kind
         WHEN 'refund_payment' THEN EXISTS (
             SELECT FROM refunds r WHERE r.order_id = o.id AND r.refunded_at IS NULL)
         ELSE o.status IN ('PENDING', 'PROCESSING') END";

/// Jobs of one transaction.
const PAGE: i64 = 1000;

/// A dead job, and how far its order is.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadJob {
    /// The job.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub job: JobRecord,
    /// Where its order stands.
    pub order_status: OrderStatus,
}

/// Which dead jobs to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that need an operator.
    NeedOperator,
    /// All, the normal ends too.
    All,
}

/// The newest dead jobs.
///
/// # Errors
/// When the database refuses.
pub async fn list(pool: &PgPool, which: Which, limit: u32) -> Result<Vec<DeadJob>, sqlx::Error> {
    let mut query = QueryBuilder::new("SELECT j.*, o.status AS order_status FROM ");
    query.push(match which {
        Which::NeedOperator => NEEDS_OPERATOR,
        Which::All => "jobs j JOIN orders o ON o.id = j.order_id WHERE j.state = 'dead'",
    });
    query.push(" ORDER BY j.id DESC LIMIT ").push_bind(i64::from(limit));
    query.build_query_as().fetch_all(pool).await
}

/// How many need an operator, of each kind that has any. It costs what is open, however many are dead.
///
/// # Errors
/// When the database refuses.
pub async fn count_needing_operator(pool: &PgPool) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let mut query = QueryBuilder::new("SELECT j.kind, count(*) FROM ");
    query.push(NEEDS_OPERATOR).push(" GROUP BY j.kind");
    query.build_query_as().fetch_all(pool).await
}

/// Which dead jobs to bring back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// These, all or none of them.
    These(Vec<JobId>),
    /// All that need an operator.
    All,
}

/// What they are brought back for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// To be tried again. A job that has reached a limit (attempts, crashes, age) is voided all the same; the crashes
    /// of a refund are forgotten.
    Retry,
    /// To give the order up: it fails if the gateway says that its key is void, and is completed if it was charged already.
    GiveUp(&'a Reason),
}

/// Why a job is not brought back; then none is.
#[derive(Debug, thiserror::Error)]
pub enum ReviveError {
    /// There is no such job.
    #[error("there is no job {0}")]
    Unknown(JobId),
    /// It is not dead.
    #[error("job {job} is {}, not dead", .state.as_str())]
    NotDead {
        /// The job.
        job: JobId,
        /// What it is instead.
        state: JobState,
    },
    /// It is a refund, and a refund is not given up.
    #[error("job {0} gives money back that is owed: it can be retried, and not given up")]
    Refund(JobId),
    /// It has done its duty.
    #[error("job {job} is at its end: its order is {}", .order.as_str())]
    OrderEnded {
        /// The job.
        job: JobId,
        /// How its order has ended.
        order: OrderStatus,
    },
    /// Its order has another job, or two jobs of one order were named.
    #[error("an order of these jobs would have two live jobs")]
    TwoLive,
    /// The database refuses.
    #[error("PostgreSQL: {0}")]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for ReviveError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(|refused| refused.constraint()) {
            Some("jobs_one_live_per_order") => Self::TwoLive,
            _ => Self::Database(error),
        }
    }
}

/// Schedules dead jobs whose orders are open, or are to be refunded. Adds to `revived` those that are (or would be) due now, for the schedule in Redis.
///
/// # Errors
/// When one that was named cannot be brought back: then none is. When the database refuses; of all, those in
/// `revived` are brought back then.
pub async fn revive(
    pool: &PgPool,
    chosen: &Chosen,
    purpose: Purpose<'_>,
    ending: Ending,
    revived: &mut Vec<JobId>,
) -> Result<(), ReviveError> {
    match chosen {
        Chosen::These(jobs) => {
            let mut transaction = pool.begin().await?;
            check(&mut transaction, jobs, purpose).await?;
            let scheduled = schedule(&mut transaction, jobs, purpose).await?;
            ending.end(transaction).await?;
            revived.extend(scheduled);
            Ok(())
        }
        Chosen::All => revive_all(pool, purpose, ending, revived).await,
    }
}

async fn revive_all(
    pool: &PgPool,
    purpose: Purpose<'_>,
    ending: Ending,
    revived: &mut Vec<JobId>,
) -> Result<(), ReviveError> {
    let mut after = OrderId(Uuid::nil());
    loop {
        let mut query = QueryBuilder::new("SELECT o.id, j.id FROM ");
        query.push(NEEDS_OPERATOR).push(" AND o.id > ").push_bind(after);
        query.push(" ORDER BY o.id LIMIT ").push_bind(PAGE);
        let page: Vec<(OrderId, JobId)> = query.build_query_as().fetch_all(pool).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = *last;
        let page: Vec<JobId> = page.into_iter().map(|(_, job)| job).collect();
        let mut transaction = pool.begin().await?;
        // Whatever has moved since is passed over.
        lock(&mut transaction, &page).await?;
        let scheduled = schedule(&mut transaction, &page, purpose).await?;
        ending.end(transaction).await?;
        revived.extend(scheduled);
    }
}

async fn check(connection: &mut PgConnection, jobs: &[JobId], purpose: Purpose<'_>) -> Result<(), ReviveError> {
    let rows = lock(connection, jobs).await?;
    for &job in jobs {
        match rows.iter().find(|row| row.id == job) {
            None => return Err(ReviveError::Unknown(job)),
            Some(row) if row.state != JobState::Dead => return Err(ReviveError::NotDead { job, state: row.state }),
            Some(row) if !row.unfinished => return Err(ReviveError::OrderEnded { job, order: row.order }),
            Some(row) if row.kind == RefundPayment::KIND && purpose != Purpose::Retry => {
                return Err(ReviveError::Refund(job));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    id: JobId,
    kind: String,
    state: JobState,
    #[sqlx(rename = "status")]
    order: OrderStatus,
    unfinished: bool,
}

/// Locks jobs and their orders, row by row in the order of the jobs, as a settlement does.
async fn lock(connection: &mut PgConnection, jobs: &[JobId]) -> Result<Vec<Row>, sqlx::Error> {
    let mut query = QueryBuilder::new("SELECT j.id, j.kind, j.state, o.status, ");
    query.push(UNFINISHED).push(" AS unfinished FROM jobs j JOIN orders o ON o.id = j.order_id WHERE j.id = ANY(");
    query.push_bind(jobs).push(") ORDER BY j.id FOR NO KEY UPDATE OF j, o");
    query.build_query_as().fetch_all(connection).await
}

async fn schedule(
    connection: &mut PgConnection,
    jobs: &[JobId],
    purpose: Purpose<'_>,
) -> Result<Vec<JobId>, sqlx::Error> {
    let give_up = match purpose {
        Purpose::Retry => None,
        Purpose::GiveUp(reason) => Some(reason.as_str()),
    };
    let mut query = QueryBuilder::new("UPDATE jobs j SET state = 'scheduled', run_at = now(), give_up = ");
    query.push_bind(give_up);
    // What has crashed is what was not given back.
    query.push(", retries = CASE WHEN j.kind = 'refund_payment' THEN j.claims ELSE j.retries END, updated_at = now()");
    query.push(" FROM orders o WHERE o.id = j.order_id AND j.state = 'dead' AND j.id = ANY(").push_bind(jobs);
    query.push(") AND ").push(UNFINISHED);
    if give_up.is_some() {
        query.push(" AND j.kind <> 'refund_payment'");
    }
    query.push(" RETURNING j.id").build_query_scalar().fetch_all(connection).await
}
