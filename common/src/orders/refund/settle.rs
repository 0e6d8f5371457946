//! The settlement of a refund: what the gateway said becomes the end of an order, or another try.
//!
//! One transaction, guarded by the job's token and the states, as the one of a charge is. A refund is
//! never given up by itself: it is tried until the gateway says what became of it.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use crate::chaos;
use crate::db::{self, CommitError, Locks, TransactionId, Witness};
use crate::events::{self, Announcer, NewEvent};
use crate::id::{JobId, OrderId, PaymentId, ProductId, UserId};
use crate::jobs::queue::Lease;
use crate::jobs::retry::Backoff;
use crate::jobs::{JobState, RefundPayment, Token};
use crate::money::{Currency, Money};
use crate::orders::settle::Settled;
use crate::orders::status::OrderStatus;
use crate::orders::told::{self, PaymentTold};
use crate::payments::{PaymentMethod, PaymentStatus};
use crate::products;

/// What came of one claim of a refund's job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The money goes back, says the gateway: now, or it went back before.
    Refunded,
    /// No answer that says anything. The money may go back.
    Unknown {
        /// What was seen.
        code: String,
    },
    /// It cannot be done, and no further try would change that: the books contradict each other, or the job is poison.
    Impossible {
        /// Why, for the operator who has to look at it.
        reason: String,
    },
}

impl Outcome {
    /// Its name, as logs and metrics have it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refunded => "refunded",
            Self::Unknown { .. } => "refund_unknown",
            Self::Impossible { .. } => "refund_impossible",
        }
    }

    /// Why it is not done.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refunded => None,
            Self::Unknown { code } => Some(code),
            Self::Impossible { reason } => Some(reason),
        }
    }
}

/// What came of a claim.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The job and the proof that it was ours.
    pub lease: Lease,
    /// What the gateway said.
    pub outcome: Outcome,
    /// A random number from 0 to 1, for the backoff.
    pub jitter: f64,
}

#[derive(sqlx::FromRow)]
struct Row {
    job_id: JobId,
    job_state: JobState,
    token: Option<Token>,
    attempts: i32,
    retries: i32,
    wait_seconds: f64,
    order_id: OrderId,
    user_id: UserId,
    order_status: OrderStatus,
    payment_id: PaymentId,
    payment_status: PaymentStatus,
    amount_minor: Money,
    currency: Currency,
    method: PaymentMethod,
    restock: bool,
    done: bool,
}

/// What follows from an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Next {
    /// Nothing: the job is another worker's by now, or this was settled already.
    Nothing(Settled),
    /// The order and the payment are refunded, and the job is done.
    End,
    /// The job is scheduled again, after so long.
    Again(Duration),
    /// The job is dead, for that reason, and nothing else changes.
    Bury(String),
}

/// Settles the claim of a refund's job.
///
/// # Errors
/// When the database refuses; nothing was changed, or it is not known.
/// Either way the same settlement can be handed in again.
pub async fn settle(
    pool: &PgPool,
    announcer: &Announcer,
    backoff: Backoff,
    settlement: &Settlement,
) -> Result<Settled, CommitError> {
    let mut transaction = db::begin(pool, Locks::Usual).await.map_err(CommitError::RolledBack)?;
    let written = write(&mut transaction, backoff, settlement).await.map_err(CommitError::RolledBack)?;
    let Written { settled, state: Some(state), id, events, restocked } = written else {
        written.settled.count(RefundPayment::KIND);
        return Ok(written.settled);
    };
    chaos::step("refund.before_settled");
    let written = Settling { lease: &settlement.lease, state };
    db::commit(pool, transaction, id, &written).await?;
    chaos::step("refund.after_settled");
    announcer.announce(&events);
    announcer.products.tell(restocked);
    settled.count(RefundPayment::KIND);
    Ok(settled)
}

/// What a transaction is about to commit.
struct Written {
    settled: Settled,
    /// Where the job is then; nothing if nothing was written.
    state: Option<JobState>,
    id: TransactionId,
    events: Vec<NewEvent>,
    /// What went back into stock.
    restocked: Vec<ProductId>,
}

async fn write(
    connection: &mut PgConnection,
    backoff: Backoff,
    settlement: &Settlement,
) -> Result<Written, sqlx::Error> {
    let id = sqlx::query_scalar("SELECT pg_current_xact_id()::text::bigint").fetch_one(&mut *connection).await?;
    let silent = |settled, state| Written { settled, state, id, events: Vec::new(), restocked: Vec::new() };
    let nothing = |settled| silent(settled, None);
    let Some(row) = lock(connection, settlement.lease.job).await? else { return Ok(nothing(Settled::Fenced)) };
    match decide(&row, settlement, backoff) {
        Next::Nothing(settled) => Ok(nothing(settled)),
        Next::End => {
            let (events, restocked) = end(connection, &row).await?;
            let settled = Settled::Ended(OrderStatus::Refunded);
            Ok(Written { settled, state: Some(JobState::Completed), id, events, restocked })
        }
        Next::Again(delay) => {
            put_off(connection, &row, JobState::Scheduled, delay, settlement.outcome.code()).await?;
            Ok(silent(Settled::Again(delay), Some(JobState::Scheduled)))
        }
        Next::Bury(reason) => {
            tracing::error!(job = %row.job_id, order = %row.order_id, status = row.order_status.as_str(), reason,
                "the job of a refund is buried: an operator must look at it");
            put_off(connection, &row, JobState::Dead, Duration::ZERO, Some(&reason)).await?;
            Ok(silent(Settled::Buried, Some(JobState::Dead)))
        }
    }
}

/// The same lock order as the settlement of a charge: job, order, payment. The row of the refund comes with its order.
async fn lock(connection: &mut PgConnection, job: JobId) -> Result<Option<Row>, sqlx::Error> {
    sqlx::query_as(
        "SELECT j.id AS job_id, j.state AS job_state, j.token, j.attempts, j.retries,
                greatest(0, extract(epoch FROM j.run_at - now()))::float8 AS wait_seconds,
                o.id AS order_id, o.user_id, o.status AS order_status,
                p.id AS payment_id, p.status AS payment_status, p.amount_minor, p.currency, p.method,
                r.restock, r.refunded_at IS NOT NULL AS done
         FROM jobs j JOIN orders o ON o.id = j.order_id JOIN payments p ON p.order_id = o.id
         JOIN refunds r ON r.payment_id = p.id
         WHERE j.id = $1 FOR NO KEY UPDATE OF j, o, p, r",
    )
    .bind(job)
    .fetch_optional(connection)
    .await
}

fn decide(row: &Row, settlement: &Settlement, backoff: Backoff) -> Next {
    if row.token.as_ref() != Some(&settlement.lease.token) {
        return Next::Nothing(Settled::Fenced);
    }
    // Finished rows keep their token: this is a settlement whose answer got lost.
    match row.job_state {
        JobState::Running => {}
        JobState::Completed => return Next::Nothing(Settled::Ended(row.order_status)),
        JobState::Dead => return Next::Nothing(Settled::Buried),
        JobState::Scheduled => return Next::Nothing(Settled::Again(Duration::from_secs_f64(row.wait_seconds))),
        JobState::Cancelled => return Next::Nothing(Settled::Fenced),
    }
    match &settlement.outcome {
        Outcome::Unknown { .. } => Next::Again(backoff.delay(row.retries, settlement.jitter)),
        Outcome::Impossible { reason } => Next::Bury(reason.clone()),
        Outcome::Refunded if may_end(row) => Next::End,
        Outcome::Refunded => Next::Bury(format!(
            "the gateway gave the money back, but the order is {} and cannot be refunded",
            row.order_status.as_str()
        )),
    }
}

fn may_end(row: &Row) -> bool {
    !row.done
        && row.order_status.can_become(OrderStatus::Refunded)
        && row.payment_status.can_become(PaymentStatus::Refunded)
}

/// Job, payment, order and refund come to their end together, with the stock if that was chosen. Gives what is told of it, and
/// which products went back.
async fn end(connection: &mut PgConnection, row: &Row) -> Result<(Vec<NewEvent>, Vec<ProductId>), sqlx::Error> {
    sqlx::query(
        "WITH done_job AS (
             UPDATE jobs SET state = 'completed', attempts = attempts + 1, last_error = NULL, updated_at = now()
             WHERE id = $1 AND state = 'running'
         ), refunded_order AS (
             UPDATE orders SET status = 'REFUNDED', updated_at = now() WHERE id = $2 AND status = 'COMPLETED'
         ), refunded_payment AS (
             UPDATE payments SET status = 'REFUNDED', updated_at = now() WHERE id = $3 AND status = 'COMPLETED'
         )
         UPDATE refunds SET refunded_at = now(), last_error = NULL WHERE order_id = $2 AND refunded_at IS NULL",
    )
    .bind(row.job_id)
    .bind(row.order_id)
    .bind(row.payment_id)
    .execute(&mut *connection)
    .await?;
    let restocked =
        if row.restock { products::queries::release_stock(connection, &[row.order_id]).await? } else { Vec::new() };
    let events = told(row);
    events::append(connection, &events).await?;
    Ok((events, restocked))
}

/// The job waits for another try or for an operator; the order and the payment stay as they are. Whoever waits for
/// another try has not crashed, and neither counts what it crashed before.
async fn put_off(
    connection: &mut PgConnection,
    row: &Row,
    state: JobState,
    delay: Duration,
    error: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH put_off AS (
             UPDATE jobs SET state = $2, last_error = $4, updated_at = now(),
                    run_at = CASE $2 WHEN 'scheduled' THEN clock_timestamp() + $3 * interval '1 second' ELSE run_at END,
                    retries = CASE $2 WHEN 'scheduled' THEN claims ELSE retries END
             WHERE id = $1 AND state = 'running'
         )
         UPDATE refunds SET last_error = $4 WHERE order_id = $5 AND refunded_at IS NULL",
    )
    .bind(row.job_id)
    .bind(state)
    .bind(delay.as_secs_f64())
    .bind(error)
    .bind(row.order_id)
    .execute(connection)
    .await?;
    Ok(())
}

fn told(row: &Row) -> Vec<NewEvent> {
    let payment = PaymentTold {
        user_id: row.user_id,
        order_id: row.order_id,
        payment_id: row.payment_id,
        amount: row.amount_minor,
        currency: &row.currency,
        method: &row.method,
        status: PaymentStatus::Refunded,
        attempts: row.attempts + 1,
        next_attempt_at: None,
        error: None,
    };
    vec![payment.event(), told::order_is(OrderStatus::Refunded, row.order_id, row.user_id)]
}

/// The job's row under this claim's token, where no other claim can have brought it.
struct Settling<'a> {
    lease: &'a Lease,
    state: JobState,
}

impl Witness for Settling<'_> {
    async fn is_written(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM jobs WHERE id = $1 AND token = $2 AND state = $3)")
            .bind(self.lease.job)
            .bind(&self.lease.token)
            .bind(self.state)
            .fetch_one(pool)
            .await
    }
}

#[cfg(test)]
mod tests;
