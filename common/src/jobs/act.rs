//! What operators do to jobs, one or very many: try them again, make them due, give their orders up.
//!
//! Each verb has one rule, in SQL, which is looked at again under the locks: workers go on meanwhile. Nothing
//! here releases stock or moves money. A job that is given up is a job that voids instead of charging, and only
//! what the gateway says to that ends the order.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use serde::Serialize;
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};

use super::dead::{NEEDS_OPERATOR, UNFINISHED};
use super::filter::JobFilter;
use super::{JobState, RefundPayment};
use crate::db::{self, Ending};
use crate::id::JobId;
use crate::orders::status::OrderStatus;
use crate::reason::Reason;

/// Jobs that one transaction changes, at most.
pub const PAGE: usize = 1000;

/// How often a page is tried whose rows somebody else holds.
const TRIES: usize = 3;

/// What is done to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb<'a> {
    /// A dead job is scheduled again, while its order is open or to be refunded. One that has reached a limit
    /// (attempts, crashes, age) is voided all the same; the crashes of a refund are forgotten.
    Retry,
    /// A scheduled job is due now and not later. It is not claimed while claiming is paused.
    RunNow,
    /// The order of a dead or scheduled job is given up, for that reason: it fails if the gateway says that its key is
    /// void, and is completed if it was charged already. A refund is owed, and not given up.
    Cancel(&'a Reason),
}

/// Why a job that was named is left alone; then all of them are.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// There is no such job.
    #[error("there is no job {0}")]
    Unknown(JobId),
    /// It is in a state in which this cannot be done to it.
    #[error("job {job} is {}, {}", .state.as_str(), not(.wanted))]
    WrongState {
        /// The job.
        job: JobId,
        /// What it is.
        state: JobState,
        /// What it would have to be.
        wanted: &'static [JobState],
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

fn not(wanted: &[JobState]) -> String {
    format!("not {}", wanted.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(" or "))
}

impl From<sqlx::Error> for ActError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(|refused| refused.constraint()) {
            Some("jobs_one_live_per_order") => Self::TwoLive,
            _ => Self::Database(error),
        }
    }
}

/// So many jobs of a kind in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = JobGroup)]
pub struct Group {
    /// What they do.
    pub kind: String,
    /// How far they are.
    pub state: JobState,
    /// How many.
    pub jobs: u64,
}

/// Jobs to which something can be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Which, oldest first.
    pub jobs: Vec<JobId>,
    /// How many of which kind in which state.
    pub groups: Vec<Group>,
}

impl Verb<'_> {
    /// The states of jobs to which it can be done.
    fn states(self) -> &'static [JobState] {
        match self {
            Self::Retry => &[JobState::Dead],
            Self::RunNow => &[JobState::Scheduled],
            Self::Cancel(_) => &[JobState::Dead, JobState::Scheduled],
        }
    }

    /// The jobs `j` that pass the filter and to which it can be done.
    fn push_selection(self, query: &mut QueryBuilder<Postgres>, filter: &JobFilter) {
        const COLUMNS: &str = "SELECT j.id, j.kind, j.state FROM ";
        match self {
            Self::Retry => {
                query.push(COLUMNS).push(NEEDS_OPERATOR);
            }
            Self::RunNow => {
                query.push(COLUMNS).push("jobs j WHERE j.state = 'scheduled' AND j.run_at > now()");
            }
            Self::Cancel(_) => {
                query.push(COLUMNS).push(NEEDS_OPERATOR).push(" AND j.kind <> 'refund_payment'");
                filter.push(query);
                query.push(" UNION ALL ").push(COLUMNS).push(
                    "jobs j JOIN orders o ON o.id = j.order_id
                     WHERE j.state = 'scheduled' AND j.kind <> 'refund_payment' AND j.give_up IS NULL
                       AND o.status IN ('PENDING', 'PROCESSING')",
                );
            }
        }
        filter.push(query);
    }

    /// Does it to those of the jobs to which it can be done at this moment. Gives them.
    async fn write(
        self,
        connection: &mut PgConnection,
        jobs: &[JobId],
        filter: &JobFilter,
    ) -> Result<Vec<JobId>, sqlx::Error> {
        // A job that is due keeps the time since when it is.
        let mut query = QueryBuilder::new(
            "UPDATE jobs j SET updated_at = now(),
                    run_at = CASE j.state WHEN 'scheduled' THEN least(j.run_at, now()) ELSE now() END",
        );
        match self {
            // What has crashed is what was not given back.
            Self::Retry => {
                query.push(
                    ", state = 'scheduled', give_up = NULL,
                     retries = CASE j.kind WHEN 'refund_payment' THEN j.claims ELSE j.retries END",
                );
            }
            Self::RunNow => {}
            Self::Cancel(reason) => {
                query.push(", state = 'scheduled', give_up = ").push_bind(reason.as_str());
            }
        }
        query.push(" FROM orders o WHERE o.id = j.order_id AND j.id = ANY(").push_bind(jobs);
        query.push(") AND j.state = ANY(").push_bind(self.states().to_vec()).push(")");
        if self != Self::RunNow {
            query.push(" AND ").push(UNFINISHED).push(
                " AND NOT EXISTS (SELECT FROM jobs live WHERE live.order_id = o.id AND live.id <> j.id
                                  AND live.state IN ('scheduled', 'running'))",
            );
        }
        if matches!(self, Self::Cancel(_)) {
            query.push(" AND j.kind <> 'refund_payment'");
        }
        filter.push(&mut query);
        query.push(" RETURNING j.id").build_query_scalar().fetch_all(connection).await
    }
}

/// All jobs that pass the filter and to which that can be done now. To each, [`act`] looks again.
///
/// # Errors
/// When the database refuses.
pub async fn select(pool: &PgPool, verb: Verb<'_>, filter: &JobFilter) -> Result<Selection, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // There may be very many; the usual limit is for requests.
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *transaction).await?;
    let mut query = QueryBuilder::new("SELECT * FROM (");
    verb.push_selection(&mut query, filter);
    query.push(") j ORDER BY id");
    let mut jobs = Vec::new();
    let mut groups: BTreeMap<(String, &'static str), (JobState, u64)> = BTreeMap::new();
    {
        let mut rows = query.build_query_as::<(JobId, String, JobState)>().fetch(&mut *transaction);
        while let Some((job, kind, state)) = rows.try_next().await? {
            jobs.push(job);
            groups.entry((kind, state.as_str())).or_insert((state, 0)).1 += 1;
        }
    }
    transaction.rollback().await?;
    let group = |((kind, _), (state, jobs))| Group { kind, state, jobs };
    Ok(Selection { jobs, groups: groups.into_iter().map(group).collect() })
}

/// Does it to a page of jobs, at most [`PAGE`], in one transaction; passes over those to which it cannot be done or which
/// the filter does not mean (any more). Gives the others: they are due now, for the schedule in Redis.
///
/// # Errors
/// When the database refuses; then nothing was done to this page.
pub async fn act(pool: &PgPool, verb: Verb<'_>, filter: &JobFilter, page: &[JobId]) -> Result<Vec<JobId>, sqlx::Error> {
    let mut tries = 1;
    loop {
        match act_once(pool, verb, filter, page).await {
            Err(error) if tries < TRIES && is_in_the_way(&error) => tries += 1,
            result => return result,
        }
    }
}

async fn act_once(
    pool: &PgPool,
    verb: Verb<'_>,
    filter: &JobFilter,
    page: &[JobId],
) -> Result<Vec<JobId>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    lock(&mut transaction, page).await?;
    let done = verb.write(&mut transaction, page, filter).await?;
    transaction.commit().await?;
    Ok(done)
}

/// Whether others held the rows for too long, or waited for us as we did for them.
fn is_in_the_way(error: &sqlx::Error) -> bool {
    db::is_deadlock(error) || db::is_lock_timeout(error)
}

/// Does it to these jobs, all or none of them. Gives those that are (or would be) due now, for the schedule in Redis.
///
/// # Errors
/// When it cannot be done to one of them: then none is touched. When the database refuses.
pub async fn act_on_all_of(
    pool: &PgPool,
    verb: Verb<'_>,
    jobs: &[JobId],
    ending: Ending,
) -> Result<Vec<JobId>, ActError> {
    let mut transaction = pool.begin().await?;
    let rows = lock(&mut transaction, jobs).await?;
    for &job in jobs {
        let row = rows.iter().find(|row| row.id == job).ok_or(ActError::Unknown(job))?;
        row.check(verb)?;
    }
    let done = verb.write(&mut transaction, jobs, &JobFilter::default()).await?;
    if rows.iter().any(|row| !done.contains(&row.id)) {
        return Err(ActError::TwoLive);
    }
    ending.end(transaction).await?;
    Ok(done)
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

impl Row {
    fn check(&self, verb: Verb<'_>) -> Result<(), ActError> {
        let Self { id: job, state, order, .. } = *self;
        if matches!(verb, Verb::Cancel(_)) && self.kind == RefundPayment::KIND {
            return Err(ActError::Refund(job));
        }
        if !verb.states().contains(&state) {
            return Err(ActError::WrongState { job, state, wanted: verb.states() });
        }
        if verb != Verb::RunNow && !self.unfinished {
            return Err(ActError::OrderEnded { job, order });
        }
        Ok(())
    }
}

/// Locks jobs and their orders, row by row in the order of the jobs, as a settlement does.
async fn lock(connection: &mut PgConnection, jobs: &[JobId]) -> Result<Vec<Row>, sqlx::Error> {
    let mut query = QueryBuilder::new("SELECT j.id, j.kind, j.state, o.status, ");
    query.push(UNFINISHED).push(" AS unfinished FROM jobs j JOIN orders o ON o.id = j.order_id WHERE j.id = ANY(");
    query.push_bind(jobs).push(") ORDER BY j.id FOR NO KEY UPDATE OF j, o");
    query.build_query_as().fetch_all(connection).await
}
