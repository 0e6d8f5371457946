//! Claiming: a worker takes up the payments of orders, in one transaction.
//!
//! Only a job that charges opens a key and moves its order. One that refunds finds its payment
//! charged and leaves it so until the gateway has answered.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use crate::db::{self, CommitError, Witness};
use crate::events::{self, Announcer, EventKind, NewEvent};
use crate::id::{BootId, JobId, OrderId, PaymentId, UserId};
use crate::jobs::ledger::{self, TakenJob};
use crate::jobs::queue::Lease;
use crate::jobs::{ChargePayment, Task, known_kind};
use crate::money::{Currency, Money};
use crate::orders::settle::Settled;
use crate::payments::{ChargeKey, PaymentMethod};

/// A payment that is ours to charge, or to give back.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The job and the proof that it is ours.
    pub lease: Lease,
    /// What the table knows of the job.
    pub job: TakenJob,
    /// Whose order it is.
    pub customer: UserId,
    /// The payment.
    pub payment: PaymentId,
    /// The key to charge it with, or that it was charged with.
    pub key: ChargeKey,
    /// How much.
    pub amount: Money,
    /// In which currency.
    pub currency: Currency,
    /// How.
    pub method: PaymentMethod,
}

/// Why a refund's job is buried before the gateway is asked.
const NOTHING_TO_REFUND: &str = "the order or its payment is not completed, or nobody has asked for a refund";

#[derive(sqlx::FromRow)]
struct PaymentRow {
    id: PaymentId,
    order_id: OrderId,
    user_id: UserId,
    charge_no: i32,
    amount_minor: Money,
    currency: Currency,
    method: PaymentMethod,
}

/// Takes the leased jobs that may be taken. The payments to be charged get an open key, so that from
/// here on nobody releases their stock without asking the gateway; their orders are being processed.
///
/// A job whose payment is not where it would have to be is buried. One of an unknown kind is given as it
/// is, and nothing else is touched: it is for a newer worker.
///
/// # Errors
/// When the database refuses. Jobs that were taken although the answer got lost are given
/// back by [`ledger::disown`].
pub async fn claim(
    pool: &PgPool,
    announcer: &Announcer,
    leases: &[Lease],
    boot: BootId,
    lease: Duration,
) -> Result<Vec<Claim>, CommitError> {
    let mut transaction = pool.begin().await.map_err(CommitError::RolledBack)?;
    let taken = ledger::take(&mut transaction, leases, boot, lease).await.map_err(CommitError::RolledBack)?;
    let Some((jobs, id)) = taken else { return Ok(Vec::new()) };
    let (payments, events) = take_up(&mut transaction, &jobs).await.map_err(CommitError::RolledBack)?;
    db::commit(pool, transaction, id, &Taken(&jobs)).await?;
    announcer.announce(&events);
    count(&jobs);

    let mut payments: HashMap<OrderId, PaymentRow> =
        payments.into_iter().map(|payment| (payment.order_id, payment)).collect();
    Ok(jobs
        .into_iter()
        .filter_map(|job| {
            let Some(payment) = payments.remove(&job.order_id) else {
                Settled::Buried.count(known_kind(&job.kind));
                return None;
            };
            Some(Claim {
                lease: Lease { job: job.id, token: job.token.clone() },
                job,
                customer: payment.user_id,
                payment: payment.id,
                key: ChargeKey::new(payment.id, payment.charge_no),
                amount: payment.amount_minor,
                currency: payment.currency,
                method: payment.method,
            })
        })
        .collect())
}

/// Counts how late jobs were taken, or from whom.
fn count(jobs: &[TakenJob]) {
    for job in jobs {
        let kind = known_kind(&job.kind);
        if job.taken_over {
            metrics::counter!("shop_jobs_taken_over_total", "kind" => kind).increment(1);
        } else {
            metrics::histogram!("shop_job_start_lateness_seconds", "kind" => kind).record(job.lateness_seconds);
        }
    }
}

/// One job's token is enough, they are taken together.
struct Taken<'a>(&'a [TakenJob]);

impl Witness for Taken<'_> {
    async fn is_written(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        match self.0.first() {
            Some(job) => ledger::is_held(pool, job.id, &job.token).await,
            None => Ok(true),
        }
    }
}

/// Takes up the payments of jobs, and gives them with what is told of it. The events are appended last.
async fn take_up(
    connection: &mut PgConnection,
    jobs: &[TakenJob],
) -> Result<(Vec<PaymentRow>, Vec<NewEvent>), sqlx::Error> {
    let charges: Vec<&TakenJob> = jobs.iter().filter(|job| job.kind == ChargePayment::KIND).collect();
    let refunds: Vec<&TakenJob> = jobs.iter().filter(|job| job.task() == Some(Task::Refund)).collect();
    let unknown: Vec<OrderId> = jobs
        .iter()
        .filter(|job| job.kind != ChargePayment::KIND && job.task().is_none())
        .map(|job| job.order_id)
        .collect();
    let mut payments = Vec::new();
    let mut moved = Vec::new();
    if !charges.is_empty() {
        let orders = orders_of(&charges);
        moved = process(connection, &orders).await?;
        let open = open(connection, &orders).await?;
        ledger::bury(connection, &without(&charges, &open), "the payment is not pending").await?;
        payments.extend(open);
    }
    if !refunds.is_empty() {
        let charged = to_be_refunded(connection, &orders_of(&refunds)).await?;
        ledger::bury(connection, &without(&refunds, &charged), NOTHING_TO_REFUND).await?;
        payments.extend(charged);
    }
    if !unknown.is_empty() {
        payments.extend(as_they_are(connection, &unknown).await?);
    }
    let events: Vec<NewEvent> = moved
        .into_iter()
        .map(|(order_id, user_id)| NewEvent {
            user_id,
            order_id,
            kind: EventKind::OrderStatus,
            data: serde_json::json!({ "status": "PROCESSING" }),
        })
        .collect();
    events::append(connection, &events).await?;
    Ok((payments, events))
}

fn orders_of(jobs: &[&TakenJob]) -> Vec<OrderId> {
    jobs.iter().map(|job| job.order_id).collect()
}

/// The jobs whose order is none of these payments'.
fn without(jobs: &[&TakenJob], payments: &[PaymentRow]) -> Vec<JobId> {
    let has_payment = |job: &TakenJob| payments.iter().any(|payment| payment.order_id == job.order_id);
    jobs.iter().filter(|job| !has_payment(job)).map(|job| job.id).collect()
}

/// Orders that were not being processed yet, and whose they are.
async fn process(connection: &mut PgConnection, orders: &[OrderId]) -> Result<Vec<(OrderId, UserId)>, sqlx::Error> {
    sqlx::query_as(
        "WITH locked AS (
             SELECT id FROM orders WHERE id = ANY($1) AND status IS NOT DISTINCT FROM 'PENDING' ORDER BY id FOR NO KEY UPDATE
         )
         UPDATE orders o SET status = 'PROCESSING', updated_at = now() FROM locked WHERE o.id = locked.id
         RETURNING o.id, o.user_id",
    )
    .bind(orders)
    .fetch_all(connection)
    .await
}

/// Opens the keys of payments that are to be charged.
async fn open(connection: &mut PgConnection, orders: &[OrderId]) -> Result<Vec<PaymentRow>, sqlx::Error> {
    sqlx::query_as(
        "WITH locked AS (
             SELECT id, order_id FROM payments WHERE order_id = ANY($1) AND status IS NOT DISTINCT FROM 'PENDING'
             ORDER BY id FOR NO KEY UPDATE
         )
         UPDATE payments p SET open_key = p.id || ':' || p.charge_no, updated_at = now()
         FROM locked JOIN orders o ON o.id = locked.order_id WHERE p.id = locked.id
         RETURNING p.id, p.order_id, o.user_id, p.charge_no, p.amount_minor, p.currency, p.method",
    )
    .bind(orders)
    .fetch_all(connection)
    .await
}

/// Payments that are charged and to be given back. They are not locked: only the settlement of this very
/// job can move them on.
async fn to_be_refunded(connection: &mut PgConnection, orders: &[OrderId]) -> Result<Vec<PaymentRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT p.id, p.order_id, o.user_id, p.charge_no, p.amount_minor, p.currency, p.method
         FROM payments p JOIN refunds r ON r.payment_id = p.id AND r.refunded_at IS NULL
         JOIN orders o ON o.id = p.order_id AND o.status = 'COMPLETED'
         WHERE p.order_id = ANY($1) AND p.status = 'COMPLETED'",
    )
    .bind(orders)
    .fetch_all(connection)
    .await
}

async fn as_they_are(connection: &mut PgConnection, orders: &[OrderId]) -> Result<Vec<PaymentRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT p.id, p.order_id, o.user_id, p.charge_no, p.amount_minor, p.currency, p.method
         FROM payments p JOIN orders o ON o.id = p.order_id WHERE p.order_id = ANY($1)",
    )
    .bind(orders)
    .fetch_all(connection)
    .await
}
