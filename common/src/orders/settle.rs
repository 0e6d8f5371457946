//! Settlement: what the gateway said becomes the end of an order, or another try.
//!
//! One transaction for all that came at the same time, guarded by each job's
//! token: a worker that lost its lease changes nothing.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::status::OrderStatus;
use super::told::{self, PaymentTold};
use crate::chaos::{self, Bug};
use crate::db::{self, CommitError, Locks, TransactionId, Witness};
use crate::events::{self, Announcer, NewEvent};
use crate::id::{JobId, OrderId, PaymentId, ProductId, UserId};
use crate::jobs::queue::Lease;
use crate::jobs::{ChargePayment, JobState, Token};
use crate::money::{Currency, Money};
use crate::payments::next::{self, History, Next, Policy};
use crate::payments::{ChargeKey, Outcome, PaymentMethod, PaymentStatus};
use crate::products;
use crate::time::Timestamp;

/// What came of a claim.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The job and the proof that it was ours.
    pub lease: Lease,
    /// The key that was charged.
    pub key: ChargeKey,
    /// What the gateway said.
    pub outcome: Outcome,
    /// A random number from 0 to 1, for the backoff.
    pub jitter: f64,
}

/// What became of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The order has reached this state and the job is over.
    Ended(OrderStatus),
    /// The job is scheduled again, after so long.
    Again(Duration),
    /// The order is not where this outcome could move it. The job is dead, and `verify` reports the order.
    Buried,
    /// The job was not ours any more; nothing was changed.
    Fenced,
}

impl Settled {
    /// Counts it, for a job of that kind.
    pub(crate) fn count(self, kind: &'static str) {
        let result = match self {
            Self::Ended(OrderStatus::Completed | OrderStatus::Refunded) => "completed",
            Self::Ended(_) => "dead",
            Self::Again(_) => "retried",
            Self::Buried => "buried",
            Self::Fenced => "fenced",
        };
        metrics::counter!("shop_jobs_settled_total", "kind" => kind, "result" => result).increment(1);
        if let Self::Ended(status) = self {
            metrics::counter!("shop_orders_settled_total", "status" => status.as_str()).increment(1);
        }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    job_id: JobId,
    job_state: JobState,
    token: Option<Token>,
    attempts: i32,
    retries: i32,
    claims: i32,
    wait_seconds: f64,
    order_id: OrderId,
    user_id: UserId,
    order_status: OrderStatus,
    payment_id: PaymentId,
    payment_status: PaymentStatus,
    charge_no: i32,
    amount_minor: Money,
    currency: Currency,
    method: PaymentMethod,
    now: Timestamp,
}

/// Settles claims, in their order.
///
/// # Errors
/// When the database refuses; nothing was changed, or it is not known.
/// Either way the same settlements can be handed in again.
pub async fn settle(
    pool: &PgPool,
    announcer: &Announcer,
    policy: Policy,
    locks: Locks,
    settlements: &[Settlement],
) -> Result<Vec<Settled>, CommitError> {
    let mut transaction = db::begin(pool, locks).await.map_err(CommitError::RolledBack)?;
    let (settled, changes, id) =
        decide_and_write(&mut transaction, policy, settlements).await.map_err(CommitError::RolledBack)?;
    chaos::step("settle.before_commit");
    db::commit(pool, transaction, id, &changes).await?;
    chaos::step("settle.after_commit");
    announcer.announce(&changes.events);
    announcer.products.tell(changes.restocked);
    for one in &settled {
        one.count(ChargePayment::KIND);
    }
    Ok(settled)
}

async fn decide_and_write(
    connection: &mut PgConnection,
    policy: Policy,
    settlements: &[Settlement],
) -> Result<(Vec<Settled>, Changes, TransactionId), sqlx::Error> {
    let rows = lock(connection, settlements).await?;
    let mut changes = Changes::default();
    let settled = settlements
        .iter()
        .map(|settlement| {
            rows.get(&settlement.lease.job).map_or(Settled::Fenced, |row| changes.add(row, settlement, policy))
        })
        .collect();
    let id = changes.write(connection).await?;
    changes.restocked = products::queries::release_stock(connection, &changes.released).await?;
    if chaos::planted(Bug::StockReleasedTwice) {
        products::queries::release_stock(connection, &changes.released).await?;
    }
    events::append(connection, &changes.events).await?;
    Ok((settled, changes, id))
}

async fn lock(connection: &mut PgConnection, settlements: &[Settlement]) -> Result<HashMap<JobId, Row>, sqlx::Error> {
    // Row by row in the order of the jobs: a job, its order and its payment are
    // one to one, so no two transactions can wait for each other in a circle.
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT j.id AS job_id, j.state AS job_state, j.token, j.attempts, j.retries, j.claims,
                greatest(0, extract(epoch FROM j.run_at - now()))::float8 AS wait_seconds,
                o.id AS order_id, o.user_id, o.status AS order_status,
                p.id AS payment_id, p.status AS payment_status, p.charge_no, p.amount_minor, p.currency, p.method,
                now() AS now
         FROM jobs j JOIN orders o ON o.id = j.order_id JOIN payments p ON p.order_id = o.id
         WHERE j.id = ANY($1) ORDER BY j.id FOR NO KEY UPDATE OF j, o, p",
    )
    .bind(settlements.iter().map(|settlement| settlement.lease.job).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.job_id, row)).collect())
}

struct JobChange {
    id: JobId,
    state: JobState,
    delay: Duration,
    attempts: i32,
    retries: i32,
    error: Option<String>,
}

struct PaymentChange {
    id: PaymentId,
    status: PaymentStatus,
    charge_no: i32,
    close: bool,
    reference: Option<String>,
    error: Option<String>,
}

struct Attempt {
    payment: PaymentId,
    claim: i32,
    key: ChargeKey,
    outcome: Outcome,
}

/// What a group of settlements writes.
#[derive(Default)]
struct Changes {
    jobs: Vec<JobChange>,
    orders: Vec<(OrderId, OrderStatus)>,
    payments: Vec<PaymentChange>,
    attempts: Vec<Attempt>,
    released: Vec<OrderId>,
    /// What the released orders held.
    restocked: Vec<ProductId>,
    events: Vec<NewEvent>,
}

impl Changes {
    fn add(&mut self, row: &Row, settlement: &Settlement, policy: Policy) -> Settled {
        if let Some(settled) = no_longer_ours(row, settlement) {
            if chaos::planted(Bug::NoTokenInSettle) {
                return self.settle_all_the_same(row, settlement, policy);
            }
            return settled;
        }
        let history = History { attempts: row.attempts, retries: row.retries };
        let next = next::decide(&settlement.outcome, history, policy, settlement.jitter);
        self.attempts.push(Attempt {
            payment: row.payment_id,
            claim: row.claims,
            key: settlement.key.clone(),
            outcome: settlement.outcome.clone(),
        });
        match next {
            Next::Complete { reference } if may_end(row, OrderStatus::Completed, PaymentStatus::Completed) => {
                self.end(row, settlement, OrderStatus::Completed, PaymentStatus::Completed, Some(reference))
            }
            Next::Fail if may_end(row, OrderStatus::Failed, PaymentStatus::Failed) => {
                self.released.push(row.order_id);
                self.end(row, settlement, OrderStatus::Failed, PaymentStatus::Failed, None)
            }
            Next::Retry { delay, new_charge } => self.try_again(row, settlement, delay, new_charge),
            Next::Complete { .. } | Next::Fail => {
                tracing::error!(job = %row.job_id, order = %row.order_id, status = row.order_status.as_str(),
                    outcome = settlement.outcome.name(), "the job is buried: an operator must look at it");
                self.jobs.push(job_change(row, settlement, JobState::Dead, Duration::ZERO));
                Settled::Buried
            }
        }
    }

    /// The planted bug: a zombie's outcome counts, whatever has become of the order meanwhile.
    fn settle_all_the_same(&mut self, row: &Row, settlement: &Settlement, policy: Policy) -> Settled {
        let history = History { attempts: row.attempts, retries: row.retries };
        match next::decide(&settlement.outcome, history, policy, settlement.jitter) {
            Next::Complete { reference } => {
                self.end(row, settlement, OrderStatus::Completed, PaymentStatus::Completed, Some(reference))
            }
            Next::Fail => {
                self.released.push(row.order_id);
                self.end(row, settlement, OrderStatus::Failed, PaymentStatus::Failed, None)
            }
            Next::Retry { delay, new_charge } => self.try_again(row, settlement, delay, new_charge),
        }
    }

    fn end(
        &mut self,
        row: &Row,
        settlement: &Settlement,
        order: OrderStatus,
        payment: PaymentStatus,
        reference: Option<String>,
    ) -> Settled {
        let state = if order == OrderStatus::Completed { JobState::Completed } else { JobState::Dead };
        self.jobs.push(job_change(row, settlement, state, Duration::ZERO));
        self.orders.push((row.order_id, order));
        self.payments.push(PaymentChange {
            id: row.payment_id,
            status: payment,
            charge_no: row.charge_no,
            close: true,
            reference,
            error: settlement.outcome.code().map(str::to_owned),
        });
        self.tell_payment(row, settlement, payment, None);
        self.events.push(told::order_is(order, row.order_id, row.user_id));
        Settled::Ended(order)
    }

    fn try_again(&mut self, row: &Row, settlement: &Settlement, delay: Duration, new_charge: bool) -> Settled {
        self.jobs.push(job_change(row, settlement, JobState::Scheduled, delay));
        self.payments.push(PaymentChange {
            id: row.payment_id,
            status: row.payment_status,
            charge_no: row.charge_no + i32::from(new_charge),
            close: new_charge,
            reference: None,
            error: settlement.outcome.code().map(str::to_owned),
        });
        self.tell_payment(row, settlement, row.payment_status, Some(row.now + delay));
        Settled::Again(delay)
    }

    fn tell_payment(&mut self, row: &Row, settlement: &Settlement, status: PaymentStatus, next: Option<Timestamp>) {
        let told = PaymentTold {
            user_id: row.user_id,
            order_id: row.order_id,
            payment_id: row.payment_id,
            amount: row.amount_minor,
            currency: &row.currency,
            method: &row.method,
            status,
            attempts: attempts_after(row, settlement),
            next_attempt_at: next,
            error: settlement.outcome.code(),
        };
        self.events.push(told.event());
    }

    /// All in one statement. The states are guards and never how a row is found: see [`db::pool_by_key`].
    async fn write(&self, connection: &mut PgConnection) -> Result<TransactionId, sqlx::Error> {
        sqlx::query_scalar(
            "WITH changed_jobs AS (
                 UPDATE jobs j
                 SET state = t.state, attempts = t.attempts, retries = t.retries, last_error = t.error, updated_at = now(),
                     run_at = CASE t.state WHEN 'scheduled' THEN clock_timestamp() + t.delay * interval '1 second'
                                           ELSE j.run_at END
                 FROM unnest($1::uuid[], $2::text[], $3::float8[], $4::integer[], $5::integer[], $6::text[])
                      AS t (id, state, delay, attempts, retries, error)
                 WHERE j.id = t.id AND j.state IS NOT DISTINCT FROM 'running'
             ), changed_orders AS (
                 UPDATE orders o SET status = t.status, updated_at = now()
                 FROM unnest($7::uuid[], $8::text[]) AS t (id, status)
                 WHERE o.id = t.id AND o.status IS NOT DISTINCT FROM 'PROCESSING'
             ), changed_payments AS (
                 UPDATE payments p
                 SET status = t.status, charge_no = t.charge_no, updated_at = now(), last_error = t.error,
                     open_key = CASE WHEN t.close THEN NULL ELSE p.open_key END,
                     reference = coalesce(t.reference, p.reference)
                 FROM unnest($9::uuid[], $10::text[], $11::integer[], $12::boolean[], $13::text[], $14::text[])
                      AS t (id, status, charge_no, close, reference, error)
                 WHERE p.id = t.id AND p.status IS NOT DISTINCT FROM 'PENDING'
             ), new_attempts AS (
                 INSERT INTO payment_attempts (payment_id, claim, charge_key, outcome, code)
                 SELECT * FROM unnest($15::uuid[], $16::integer[], $17::text[], $18::text[], $19::text[])
             )
             SELECT pg_current_xact_id()::text::bigint",
        )
        .bind(self.jobs.iter().map(|job| job.id).collect::<Vec<_>>())
        .bind(self.jobs.iter().map(|job| job.state).collect::<Vec<_>>())
        .bind(self.jobs.iter().map(|job| job.delay.as_secs_f64()).collect::<Vec<_>>())
        .bind(self.jobs.iter().map(|job| job.attempts).collect::<Vec<_>>())
        .bind(self.jobs.iter().map(|job| job.retries).collect::<Vec<_>>())
        .bind(self.jobs.iter().map(|job| job.error.as_deref()).collect::<Vec<_>>())
        .bind(self.orders.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .bind(self.orders.iter().map(|(_, status)| status.as_str()).collect::<Vec<_>>())
        .bind(self.payments.iter().map(|payment| payment.id).collect::<Vec<_>>())
        .bind(self.payments.iter().map(|payment| payment.status).collect::<Vec<_>>())
        .bind(self.payments.iter().map(|payment| payment.charge_no).collect::<Vec<_>>())
        .bind(self.payments.iter().map(|payment| payment.close).collect::<Vec<_>>())
        .bind(self.payments.iter().map(|payment| payment.reference.as_deref()).collect::<Vec<_>>())
        .bind(self.payments.iter().map(|payment| payment.error.as_deref()).collect::<Vec<_>>())
        .bind(self.attempts.iter().map(|attempt| attempt.payment).collect::<Vec<_>>())
        .bind(self.attempts.iter().map(|attempt| attempt.claim).collect::<Vec<_>>())
        .bind(self.attempts.iter().map(|attempt| attempt.key.as_str()).collect::<Vec<_>>())
        .bind(self.attempts.iter().map(|attempt| attempt.outcome.name()).collect::<Vec<_>>())
        .bind(self.attempts.iter().map(|attempt| attempt.outcome.code()).collect::<Vec<_>>())
        .fetch_one(connection)
        .await
    }
}

/// One row of the changes is enough, they come together.
impl Witness for Changes {
    async fn is_written(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        let Some(attempt) = self.attempts.first() else { return Ok(true) };
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM payment_attempts WHERE payment_id = $1 AND claim = $2)")
            .bind(attempt.payment)
            .bind(attempt.claim)
            .fetch_one(pool)
            .await
    }
}

/// What became of a settlement whose job is another worker's by now, or settled already.
fn no_longer_ours(row: &Row, settlement: &Settlement) -> Option<Settled> {
    if row.token.as_ref() != Some(&settlement.lease.token) {
        return Some(Settled::Fenced);
    }
    // Finished rows keep their token: this is a settlement whose answer got lost.
    match row.job_state {
        JobState::Running => None,
        JobState::Completed => Some(Settled::Ended(row.order_status)),
        JobState::Dead if row.order_status.is_open() => Some(Settled::Buried),
        JobState::Dead => Some(Settled::Ended(row.order_status)),
        JobState::Scheduled => Some(Settled::Again(Duration::from_secs_f64(row.wait_seconds))),
        JobState::Cancelled => Some(Settled::Fenced),
    }
}

fn may_end(row: &Row, order: OrderStatus, payment: PaymentStatus) -> bool {
    row.order_status.can_become(order) && row.payment_status.can_become(payment)
}

fn attempts_after(row: &Row, settlement: &Settlement) -> i32 {
    row.attempts + i32::from(next::spends_attempt(&settlement.outcome))
}

fn job_change(row: &Row, settlement: &Settlement, state: JobState, delay: Duration) -> JobChange {
    JobChange {
        id: row.job_id,
        state,
        delay,
        attempts: attempts_after(row, settlement),
        retries: row.retries + i32::from(state == JobState::Scheduled),
        error: settlement.outcome.code().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests;
