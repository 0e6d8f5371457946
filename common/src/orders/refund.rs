//! Refunds: an admin gives the whole of a paid order back, through the worker and the gateway.
//!
//! Here one is asked for: a row that says what was promised, and a job that does it. What the gateway
//! says to it is settled in [`settle`]. A refund is idempotent by its order, so it needs no key: who
//! asks again for the same gets the same.

pub mod settle;

use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use super::status::OrderStatus;
use super::{Order, queries};
use crate::chaos;
use crate::db::{self, CommitError, Locks, TransactionId, Witness};
use crate::id::{JobId, OrderId, PaymentId, UserId};
use crate::jobs::RefundPayment;
use crate::payments::PaymentStatus;
use crate::reason::Reason;
use crate::time::{self, Timestamp};
use crate::trace::{self, TraceContext};

/// How far a refund is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RefundStatus {
    /// Asked for. It is tried until the gateway has said that the money goes back.
    Pending,
    /// The money goes back.
    Refunded,
}

impl RefundStatus {
    /// As the wire says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Refunded => "REFUNDED",
        }
    }
}

/// The refund of an order, as its customer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    /// How far it is.
    pub status: RefundStatus,
    /// Whether the order's pieces are back in stock when it is done.
    pub restock: bool,
    /// Why, if that was said.
    pub reason: Option<Reason>,
    /// When it was asked for.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub requested_at: Timestamp,
    /// When the gateway had said that the money goes back.
    #[serde(serialize_with = "time::optional_millis")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub refunded_at: Option<Timestamp>,
}

impl Refund {
    /// A refund that is done when there is a time at which it was.
    pub(crate) fn new(
        restock: bool,
        reason: Option<Reason>,
        requested_at: Timestamp,
        refunded_at: Option<Timestamp>,
    ) -> Self {
        let status = if refunded_at.is_some() { RefundStatus::Refunded } else { RefundStatus::Pending };
        Self { status, restock, reason, requested_at, refunded_at }
    }
}

/// What is wanted.
#[derive(Debug, Clone)]
pub struct NewRefund {
    /// Of which order, whoever's it is.
    pub order: OrderId,
    /// Whether its pieces go back into stock: they came back, or never left.
    pub restock: bool,
    /// Why; its customer sees it.
    pub reason: Option<Reason>,
    /// Which admin asks; nobody where an operator does.
    pub requested_by: Option<UserId>,
    /// The HTTP request that asks.
    pub request_id: Option<String>,
    /// The trace of that request, which the job goes on with.
    pub trace: Option<TraceContext>,
}

/// A refund that is asked for, now or before.
#[derive(Debug, Clone)]
pub struct Requested {
    /// Its order, with the refund.
    pub order: Order,
    /// The job that was made for it, for the schedule in Redis; nothing if it was asked for before.
    pub job: Option<JobId>,
}

/// Why an order is not refunded.
#[derive(Debug, thiserror::Error)]
pub enum RefundError {
    /// There is no such order.
    #[error("there is no such order")]
    NotFound,
    /// Nothing is paid that could go back.
    #[error("the order is {}, only a COMPLETED one can be refunded", .0.as_str())]
    NotRefundable(OrderStatus),
    /// Its refund was asked for with the other choice.
    #[error("its refund was asked for already, {} restocking", if *.restock { "with" } else { "without" })]
    AlreadyRequested {
        /// What was chosen then, and stays.
        restock: bool,
    },
    /// The database refused. If it was asked for the order only after the commit, the refund is asked for.
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
    /// The connection broke in the commit and nobody could say what became of it.
    #[error("it is not known whether the refund was asked for: {0}")]
    Unknown(sqlx::Error),
    /// PostgreSQL does not answer; the refund may be asked for or not.
    #[error("PostgreSQL does not answer")]
    Silent,
}

#[derive(sqlx::FromRow)]
struct Row {
    order_status: OrderStatus,
    payment_id: PaymentId,
    payment_status: PaymentStatus,
}

/// Asks for the refund of an order, and gives the order. Asked again with the same choice, it changes nothing: the
/// first reason stays.
///
/// Nothing is told to the customer yet, whose order is still COMPLETED. The job is the caller's to put on the
/// schedule, else the reconciler does.
///
/// # Errors
/// See [`RefundError`].
pub async fn request(pool: &PgPool, wanted: NewRefund) -> Result<Requested, RefundError> {
    let order = wanted.order;
    let requesting = {
        let pool = pool.clone();
        async move {
            for _ in 1..db::DEADLOCK_TRIES {
                match transact(&pool, &wanted).await {
                    Err(RefundError::Database(error)) if db::is_deadlock(&error) => {
                        tracing::warn!(%error, order_id = %order, "a refund met a deadlock, trying again");
                    }
                    result => return result,
                }
            }
            transact(&pool, &wanted).await
        }
    };
    let job = db::bounded(requesting).await.ok_or(RefundError::Silent)??;
    let order = queries::find_of_anybody(pool, order).await?.ok_or(RefundError::NotFound)?;
    Ok(Requested { order, job })
}

async fn transact(pool: &PgPool, wanted: &NewRefund) -> Result<Option<JobId>, RefundError> {
    let order = wanted.order;
    let mut transaction = db::begin(pool, Locks::Usual).await?;
    let row = lock(&mut transaction, order).await?.ok_or(RefundError::NotFound)?;
    match choice(&mut transaction, order).await? {
        Some(restock) if restock == wanted.restock => return Ok(None),
        Some(restock) => return Err(RefundError::AlreadyRequested { restock }),
        None => {}
    }
    let (ended, paid) = (row.order_status, row.payment_status);
    if !ended.can_become(OrderStatus::Refunded) || !paid.can_become(PaymentStatus::Refunded) {
        return Err(RefundError::NotRefundable(ended));
    }
    let job = JobId::new();
    let id = write(&mut transaction, wanted, row.payment_id, job).await?;
    chaos::step("refund.before_commit");
    db::commit(pool, transaction, id, &Made(job)).await.map_err(|error| match error {
        CommitError::RolledBack(error) => RefundError::Database(error),
        CommitError::Unknown(error) => RefundError::Unknown(error),
    })?;
    chaos::step("refund.after_commit");
    metrics::counter!("shop_refunds_requested_total").increment(1);
    Ok(Some(job))
}

/// Locks the order and its payment, and none of its jobs: those are over, and the new one nobody can see. Whoever
/// asks for, settles or repairs a refund has this lock first, so nobody locks a row of `refunds` by itself.
async fn lock(connection: &mut PgConnection, order: OrderId) -> Result<Option<Row>, sqlx::Error> {
    sqlx::query_as(
        "SELECT o.status AS order_status, p.id AS payment_id, p.status AS payment_status
         FROM orders o JOIN payments p ON p.order_id = o.id WHERE o.id = $1 FOR NO KEY UPDATE OF o, p",
    )
    .bind(order)
    .fetch_optional(connection)
    .await
}

/// What was chosen for an order whose refund was asked for. A statement of its own: the one that waited for the lock
/// sees what was there before it waited.
async fn choice(connection: &mut PgConnection, order: OrderId) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar("SELECT restock FROM refunds WHERE order_id = $1").bind(order).fetch_optional(connection).await
}

async fn write(
    connection: &mut PgConnection,
    wanted: &NewRefund,
    payment_id: PaymentId,
    job: JobId,
) -> Result<TransactionId, sqlx::Error> {
    let trace = trace::Kept::from(wanted.trace.as_ref());
    sqlx::query_scalar(
        "WITH new_refund AS (
             INSERT INTO refunds (order_id, payment_id, restock, reason, requested_by) VALUES ($1, $2, $3, $4, $5)
         ), new_job AS (
             INSERT INTO jobs (id, kind, version, payload, order_id, request_id, traceparent, tracestate)
             VALUES ($6, $7, $8, $9, $1, $10, $11, $12)
         )
         SELECT pg_current_xact_id()::text::bigint",
    )
    .bind(wanted.order)
    .bind(payment_id)
    .bind(wanted.restock)
    .bind(&wanted.reason)
    .bind(wanted.requested_by)
    .bind(job)
    .bind(RefundPayment::KIND)
    .bind(RefundPayment::VERSION)
    .bind(RefundPayment { payment_id }.payload())
    .bind(&wanted.request_id)
    .bind(trace.traceparent)
    .bind(trace.tracestate)
    .fetch_one(connection)
    .await
}

/// A job that one transaction alone can have made.
struct Made(JobId);

impl Witness for Made {
    async fn is_written(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM jobs WHERE id = $1)").bind(self.0).fetch_one(pool).await
    }
}
