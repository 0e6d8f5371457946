//! Repairing what can be repaired with proof, and nothing else; the rest `verify` only reports.
//!
//! An open order whose payment is pending and which has no live job gets one: it goes on with
//! the payment's own key, so whatever was charged before is found and not charged again.
//! A scheduled job of an order that has ended is cancelled: it could only charge for nothing.
//! A refund that was asked for and has no live job gets a new one: the money is owed, and goes back once, by its key.
//! Each repair is a transaction of its own, which looks again under the locks.

use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::db::Ending;
use crate::id::{JobId, OrderId, PaymentId};
use crate::jobs::{ChargePayment, JobState, RefundPayment};

/// Orders that are looked for at a time.
const PAGE: i64 = 1000;

/// What was done for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Deed {
    /// Its dead or cancelled job is scheduled again.
    JobScheduled,
    /// A job was made for it.
    JobMade,
    /// Its job is cancelled.
    JobCancelled,
}

/// A repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Repair {
    /// What was done.
    pub deed: Deed,
    /// For which order.
    pub order: OrderId,
    /// By which job.
    pub job: JobId,
}

/// Repairs what can be repaired. Adds to `repairs` what was (or would be) done, one by one; jobs that are
/// due now are for the schedule in Redis.
///
/// # Errors
/// When the database refuses; what was repaired until then is, and is in `repairs`.
pub async fn repair(pool: &PgPool, ending: Ending, repairs: &mut Vec<Repair>) -> Result<(), sqlx::Error> {
    let mut after = OrderId(Uuid::nil());
    loop {
        let page = without_job(pool, after).await?;
        let Some(last) = page.last() else { break };
        after = *last;
        for order in page {
            repairs.extend(give_job(pool, order, ending).await?);
        }
    }
    let mut after = OrderId(Uuid::nil());
    loop {
        let page = refunds_without_job(pool, after).await?;
        let Some(last) = page.last() else { break };
        after = *last;
        for order in page {
            repairs.extend(give_refund_job(pool, order, ending).await?);
        }
    }
    let mut after = JobId(Uuid::nil());
    loop {
        let page = outlived(pool, after).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = *last;
        for job in page {
            repairs.extend(cancel_job(pool, job, ending).await?);
        }
    }
}

async fn without_job(pool: &PgPool, after: OrderId) -> Result<Vec<OrderId>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT o.id FROM orders o JOIN payments p ON p.order_id = o.id
         WHERE o.status IN ('PENDING', 'PROCESSING') AND p.status = 'PENDING' AND p.amount_minor = o.total_minor
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.order_id = o.id AND j.state IN ('scheduled', 'running'))
           AND o.id > $1
         ORDER BY o.id LIMIT $2",
    )
    .bind(after)
    .bind(PAGE)
    .fetch_all(pool)
    .await
}

async fn give_job(pool: &PgPool, order: OrderId, ending: Ending) -> Result<Option<Repair>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let jobs: Vec<(JobId, JobState)> =
        sqlx::query_as("SELECT id, state FROM jobs WHERE order_id = $1 ORDER BY id FOR NO KEY UPDATE")
            .bind(order)
            .fetch_all(&mut *transaction)
            .await?;
    let payment: Option<PaymentId> = sqlx::query_scalar(
        "SELECT p.id FROM orders o JOIN payments p ON p.order_id = o.id
         WHERE o.id = $1 AND o.status IN ('PENDING', 'PROCESSING')
           AND p.status = 'PENDING' AND p.amount_minor = o.total_minor
         FOR NO KEY UPDATE OF o, p",
    )
    .bind(order)
    .fetch_optional(&mut *transaction)
    .await?;
    let live = jobs.iter().any(|(_, state)| matches!(state, JobState::Scheduled | JobState::Running));
    let (Some(payment), false) = (payment, live) else { return Ok(None) };
    let idle = jobs.iter().rev().find(|(_, state)| matches!(state, JobState::Dead | JobState::Cancelled));
    let written = match idle {
        Some((job, _)) => schedule(&mut transaction, *job).await.map(|()| (Deed::JobScheduled, *job)),
        None => make(&mut transaction, order, payment).await.map(|job| (Deed::JobMade, job)),
    };
    match written {
        Ok((deed, job)) => {
            ending.end(transaction).await?;
            Ok(Some(Repair { deed, order, job }))
        }
        Err(error) if is_second_job(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether somebody else has given the order a job meanwhile.
fn is_second_job(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|refused| refused.constraint() == Some("jobs_one_live_per_order"))
}

async fn schedule(connection: &mut PgConnection, job: JobId) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE jobs SET state = 'scheduled', run_at = now(), updated_at = now()
         WHERE id = $1 AND state IN ('dead', 'cancelled')",
    )
    .bind(job)
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a job. Its claims are numbered on from those that are on record, and do not count as crashes.
async fn make(connection: &mut PgConnection, order: OrderId, payment: PaymentId) -> Result<JobId, sqlx::Error> {
    let job = JobId::new();
    sqlx::query(
        "INSERT INTO jobs (id, kind, version, payload, order_id, claims, retries)
         SELECT $1, $2, $3, $4, $5, claims, claims
         FROM (SELECT coalesce(max(claim), 0) AS claims FROM payment_attempts WHERE payment_id = $6) AS so_far",
    )
    .bind(job)
    .bind(ChargePayment::KIND)
    .bind(ChargePayment::VERSION)
    .bind(ChargePayment { payment_id: payment }.payload())
    .bind(order)
    .bind(payment)
    .execute(connection)
    .await?;
    Ok(job)
}

async fn refunds_without_job(pool: &PgPool, after: OrderId) -> Result<Vec<OrderId>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT r.order_id FROM refunds r JOIN orders o ON o.id = r.order_id JOIN payments p ON p.id = r.payment_id
         WHERE r.refunded_at IS NULL AND o.status = 'COMPLETED' AND p.status = 'COMPLETED' AND p.order_id = o.id
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.order_id = o.id AND j.state IN ('scheduled', 'running'))
           AND r.order_id > $1
         ORDER BY r.order_id LIMIT $2",
    )
    .bind(after)
    .bind(PAGE)
    .fetch_all(pool)
    .await
}

/// A job that died is left as it is, for the record: a new one has crashed never, and can be read.
async fn give_refund_job(pool: &PgPool, order: OrderId, ending: Ending) -> Result<Option<Repair>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let payment: Option<PaymentId> = sqlx::query_scalar(
        "SELECT p.id FROM orders o JOIN payments p ON p.order_id = o.id JOIN refunds r ON r.payment_id = p.id
         WHERE o.id = $1 AND r.refunded_at IS NULL AND o.status = 'COMPLETED' AND p.status = 'COMPLETED'
         FOR NO KEY UPDATE OF o, p, r",
    )
    .bind(order)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(payment_id) = payment else { return Ok(None) };
    let job = JobId::new();
    let made = sqlx::query(
        "INSERT INTO jobs (id, kind, version, payload, order_id) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (order_id) WHERE state IN ('scheduled', 'running') DO NOTHING",
    )
    .bind(job)
    .bind(RefundPayment::KIND)
    .bind(RefundPayment::VERSION)
    .bind(RefundPayment { payment_id }.payload())
    .bind(order)
    .execute(&mut *transaction)
    .await?;
    if made.rows_affected() == 0 {
        return Ok(None);
    }
    ending.end(transaction).await?;
    Ok(Some(Repair { deed: Deed::JobMade, order, job }))
}

async fn outlived(pool: &PgPool, after: JobId) -> Result<Vec<JobId>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT j.id FROM jobs j JOIN orders o ON o.id = j.order_id
         WHERE j.state = 'scheduled' AND o.status NOT IN ('PENDING', 'PROCESSING') AND j.id > $1
           AND NOT (j.kind = 'refund_payment' AND EXISTS (
               SELECT FROM refunds r WHERE r.order_id = o.id AND r.refunded_at IS NULL))
         ORDER BY j.id LIMIT $2",
    )
    .bind(after)
    .bind(PAGE)
    .fetch_all(pool)
    .await
}

async fn cancel_job(pool: &PgPool, job: JobId, ending: Ending) -> Result<Option<Repair>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let order: Option<OrderId> = sqlx::query_scalar(
        "SELECT o.id FROM jobs j JOIN orders o ON o.id = j.order_id
         WHERE j.id = $1 AND j.state = 'scheduled' AND o.status NOT IN ('PENDING', 'PROCESSING')
           AND NOT (j.kind = 'refund_payment' AND EXISTS (
               SELECT FROM refunds r WHERE r.order_id = o.id AND r.refunded_at IS NULL))
         FOR NO KEY UPDATE OF j, o",
    )
    .bind(job)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(order) = order else { return Ok(None) };
    sqlx::query("UPDATE jobs SET state = 'cancelled', updated_at = now() WHERE id = $1 AND state = 'scheduled'")
        .bind(job)
        .execute(&mut *transaction)
        .await?;
    ending.end(transaction).await?;
    Ok(Some(Repair { deed: Deed::JobCancelled, order, job }))
}
