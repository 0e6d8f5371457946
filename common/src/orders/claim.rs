//! Claiming: a worker takes up the payments of orders, in one transaction.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use crate::db::{self, CommitError, TransactionId, Witness};
use crate::events::{self, Announcer, EventKind, NewEvent};
use crate::id::{BootId, JobId, OrderId, PaymentId, UserId};
use crate::jobs::ledger::{self, TakenJob};
use crate::jobs::queue::Lease;
use crate::money::{Currency, Money};
use crate::payments::{ChargeKey, PaymentMethod};

/// A payment that is ours to charge.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The job and the proof that it is ours.
    pub lease: Lease,
    /// What the table knows of the job.
    pub job: TakenJob,
    /// The payment.
    pub payment: PaymentId,
    /// The key to charge it with.
    pub key: ChargeKey,
    /// How much.
    pub amount: Money,
    /// In which currency.
    pub currency: Currency,
    /// How.
    pub method: PaymentMethod,
}

#[derive(sqlx::FromRow)]
struct PaymentRow {
    id: PaymentId,
    order_id: OrderId,
    charge_no: i32,
    amount_minor: Money,
    currency: Currency,
    method: PaymentMethod,
}

/// Takes the leased jobs that may be taken. Their payments get an open key, so that from
/// here on nobody releases their stock without asking the gateway; their orders are being processed.
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
    let jobs = ledger::take(&mut transaction, leases, boot, lease).await.map_err(CommitError::RolledBack)?;
    let (payments, events, id) = open(&mut transaction, &jobs).await.map_err(CommitError::RolledBack)?;
    db::commit(pool, transaction, id, &Taken(&jobs)).await?;
    announcer.announce(&events);

    let mut payments: HashMap<OrderId, PaymentRow> =
        payments.into_iter().map(|payment| (payment.order_id, payment)).collect();
    Ok(jobs
        .into_iter()
        .filter_map(|job| {
            let payment = payments.remove(&job.order_id)?;
            Some(Claim {
                lease: Lease { job: job.id, token: job.token.clone() },
                job,
                payment: payment.id,
                key: ChargeKey::new(payment.id, payment.charge_no),
                amount: payment.amount_minor,
                currency: payment.currency,
                method: payment.method,
            })
        })
        .collect())
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

async fn open(
    connection: &mut PgConnection,
    jobs: &[TakenJob],
) -> Result<(Vec<PaymentRow>, Vec<NewEvent>, TransactionId), sqlx::Error> {
    let orders: Vec<OrderId> = jobs.iter().map(|job| job.order_id).collect();
    let moved: Vec<(OrderId, UserId)> = sqlx::query_as(
        "WITH locked AS (
             SELECT id FROM orders WHERE id = ANY($1) AND status = 'PENDING' ORDER BY id FOR NO KEY UPDATE
         )
         UPDATE orders o SET status = 'PROCESSING', updated_at = now() FROM locked WHERE o.id = locked.id
         RETURNING o.id, o.user_id",
    )
    .bind(&orders)
    .fetch_all(&mut *connection)
    .await?;
    let payments: Vec<PaymentRow> = sqlx::query_as(
        "WITH locked AS (
             SELECT id FROM payments WHERE order_id = ANY($1) AND status = 'PENDING' ORDER BY id FOR NO KEY UPDATE
         )
         UPDATE payments p SET open_key = p.id || ':' || p.charge_no, updated_at = now()
         FROM locked WHERE p.id = locked.id
         RETURNING p.id, p.order_id, p.charge_no, p.amount_minor, p.currency, p.method",
    )
    .bind(&orders)
    .fetch_all(&mut *connection)
    .await?;
    let closed: Vec<JobId> = jobs
        .iter()
        .filter(|job| !payments.iter().any(|payment| payment.order_id == job.order_id))
        .map(|job| job.id)
        .collect();
    ledger::bury(connection, &closed, "the payment is not pending").await?;
    let id = sqlx::query_scalar("SELECT pg_current_xact_id()::text::bigint").fetch_one(&mut *connection).await?;
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
    Ok((payments, events, id))
}
