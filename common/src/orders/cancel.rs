//! Cancelling: a customer, or an operator for them, gives an order up before anybody may be charging it.
//!
//! While a key is open, money may be moving, and only the gateway can say whether
//! it does: such an order is not cancelled, its settlement is on the way.

use sqlx::{PgConnection, PgPool};

use super::status::OrderStatus;
use super::told::{self, PaymentTold};
use super::{Order, queries};
use crate::chaos::{self, Bug};
use crate::db::{self, CommitError, Ending, Locks, TransactionId, Witness};
use crate::events::{self, Announcer, NewEvent};
use crate::id::{OrderId, PaymentId, UserId};
use crate::jobs::JobState;
use crate::money::{Currency, Money};
use crate::payments::{PaymentMethod, PaymentStatus};
use crate::products;

/// What is recorded as the reason, at the job and at the payment.
const REASON: &str = "cancelled";

/// Why an order was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// There is none, or it is somebody else's.
    #[error("there is no such order")]
    NotFound,
    /// It may be charged at this moment.
    #[error("the order is being charged")]
    ChargeInFlight,
    /// It has come to another end.
    #[error("the order is {} already", .0.as_str())]
    AlreadyEnded(OrderStatus),
    /// The database refused. If it was asked for the order only after the commit, the order is cancelled.
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
    /// The connection broke in the commit and nobody could say what became of it.
    #[error("it is not known whether the order was cancelled: {0}")]
    Unknown(sqlx::Error),
    /// PostgreSQL does not answer; the order may be cancelled or not.
    #[error("PostgreSQL does not answer")]
    Silent,
}

#[derive(sqlx::FromRow)]
struct JobRow {
    state: JobState,
    attempts: i32,
}

#[derive(sqlx::FromRow)]
struct Row {
    user_id: UserId,
    order_status: OrderStatus,
    payment_id: PaymentId,
    payment_status: PaymentStatus,
    open_key: Option<String>,
    amount_minor: Money,
    currency: Currency,
    method: PaymentMethod,
}

/// What is to be cancelled, for whom, and whether it really is.
#[derive(Clone, Copy)]
struct Wanted {
    order: OrderId,
    /// Whose it has to be; anybody's for nobody.
    owner: Option<UserId>,
    ending: Ending,
}

/// Cancels a customer's order and gives it. One that is cancelled already is given as it is.
///
/// Redis is not told: the job that is still on its schedule is a ghost from now on, which
/// the worker drops that claims it.
///
/// # Errors
/// See [`CancelError`].
pub async fn cancel(
    pool: &PgPool,
    announcer: &Announcer,
    customer: UserId,
    order: OrderId,
) -> Result<Order, CancelError> {
    run(pool, announcer, Wanted { order, owner: Some(customer), ending: Ending::Commit }).await
}

/// The same for an operator, whoever's order it is. A rehearsal changes nothing, and is refused where the deed would be.
///
/// # Errors
/// See [`CancelError`].
pub async fn cancel_of_anybody(
    pool: &PgPool,
    announcer: &Announcer,
    order: OrderId,
    ending: Ending,
) -> Result<Order, CancelError> {
    run(pool, announcer, Wanted { order, owner: None, ending }).await
}

async fn run(pool: &PgPool, announcer: &Announcer, wanted: Wanted) -> Result<Order, CancelError> {
    let cancelling = {
        let (pool, announcer) = (pool.clone(), announcer.clone());
        async move {
            for _ in 1..db::DEADLOCK_TRIES {
                match transact(&pool, &announcer, wanted).await {
                    Err(CancelError::Database(error)) if db::is_deadlock(&error) => {
                        tracing::warn!(%error, order_id = %wanted.order, "a cancellation met a deadlock, trying again");
                    }
                    result => return result,
                }
            }
            transact(&pool, &announcer, wanted).await
        }
    };
    db::bounded(cancelling).await.ok_or(CancelError::Silent)??;
    let order = match wanted.owner {
        Some(customer) => queries::find(pool, customer, wanted.order).await?,
        None => queries::find_of_anybody(pool, wanted.order).await?,
    };
    order.ok_or(CancelError::NotFound)
}

async fn transact(pool: &PgPool, announcer: &Announcer, wanted: Wanted) -> Result<(), CancelError> {
    let Wanted { order, owner, ending } = wanted;
    let mut transaction = db::begin(pool, Locks::Usual).await?;
    if chaos::planted(Bug::CancelIgnoresOpenKey) {
        forget_charge(&mut transaction, order).await?;
    }
    let jobs = lock_jobs(&mut transaction, owner, order).await?;
    let row = lock(&mut transaction, owner, order).await?.ok_or(CancelError::NotFound)?;
    if row.order_status == OrderStatus::Cancelled {
        return Ok(());
    }
    if !row.order_status.can_become(OrderStatus::Cancelled) || !row.payment_status.can_become(PaymentStatus::Failed) {
        return Err(CancelError::AlreadyEnded(row.order_status));
    }
    if row.open_key.is_some() || jobs.iter().any(|job| job.state == JobState::Running) {
        return Err(CancelError::ChargeInFlight);
    }
    if ending == Ending::DryRun {
        return Ok(());
    }
    let attempts = jobs.last().map_or(0, |newest| newest.attempts);
    let events = told(&row, attempts, order);
    let id = write(&mut transaction, order).await?;
    let restocked = products::queries::release_stock(&mut transaction, &[order]).await?;
    events::append(&mut transaction, &events).await?;
    chaos::step("cancel.before_commit");
    db::commit(pool, transaction, id, &Cancelled(order)).await.map_err(|error| match error {
        CommitError::RolledBack(error) => CancelError::Database(error),
        CommitError::Unknown(error) => CancelError::Unknown(error),
    })?;
    chaos::step("cancel.after_commit");
    announcer.announce(&events);
    announcer.products.tell(restocked);
    tracing::info!(order_id = %order, "order cancelled");
    metrics::counter!("shop_orders_cancelled_total").increment(1);
    Ok(())
}

/// Locks the order's jobs: the live one, those that died before it, or none where it was lost. One that
/// is made for it between this lock and the order's is scheduled, or has opened a key when it is claimed.
async fn lock_jobs(
    connection: &mut PgConnection,
    owner: Option<UserId>,
    order: OrderId,
) -> Result<Vec<JobRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT state, attempts FROM jobs
         WHERE order_id = (SELECT id FROM orders WHERE id = $1 AND user_id = coalesce($2, user_id))
         ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(order)
    .bind(owner)
    .fetch_all(connection)
    .await
}

/// The same lock order as a settlement's: after the jobs the order and the payment.
async fn lock(
    connection: &mut PgConnection,
    owner: Option<UserId>,
    order: OrderId,
) -> Result<Option<Row>, sqlx::Error> {
    sqlx::query_as(
        "SELECT o.user_id, o.status AS order_status, p.id AS payment_id, p.status AS payment_status,
                p.open_key, p.amount_minor, p.currency, p.method
         FROM orders o JOIN payments p ON p.order_id = o.id
         WHERE o.id = $1 AND o.user_id = coalesce($2, o.user_id) FOR NO KEY UPDATE OF o, p",
    )
    .bind(order)
    .bind(owner)
    .fetch_optional(connection)
    .await
}

async fn write(connection: &mut PgConnection, order: OrderId) -> Result<TransactionId, sqlx::Error> {
    sqlx::query_scalar(
        "WITH cancelled_job AS (
             UPDATE jobs SET state = 'cancelled', last_error = $2, updated_at = now()
             WHERE order_id = $1 AND state = 'scheduled'
         ), cancelled_order AS (
             UPDATE orders SET status = 'CANCELLED', updated_at = now()
             WHERE id = $1 AND status IN ('PENDING', 'PROCESSING')
         ), failed_payment AS (
             UPDATE payments SET status = 'FAILED', last_error = $2, updated_at = now()
             WHERE order_id = $1 AND status = 'PENDING' AND open_key IS NULL
         )
         SELECT pg_current_xact_id()::text::bigint",
    )
    .bind(order)
    .bind(REASON)
    .fetch_one(connection)
    .await
}

/// The planted bug: nobody is charging.
async fn forget_charge(connection: &mut PgConnection, order: OrderId) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH running AS (UPDATE jobs SET state = 'scheduled' WHERE order_id = $1 AND state = 'running')
         UPDATE payments SET open_key = NULL WHERE order_id = $1",
    )
    .bind(order)
    .execute(connection)
    .await?;
    Ok(())
}

fn told(row: &Row, attempts: i32, order_id: OrderId) -> Vec<NewEvent> {
    let user_id = row.user_id;
    let payment = PaymentTold {
        user_id,
        order_id,
        payment_id: row.payment_id,
        amount: row.amount_minor,
        currency: &row.currency,
        method: &row.method,
        status: PaymentStatus::Failed,
        attempts,
        next_attempt_at: None,
        error: Some(REASON),
    };
    vec![payment.event(), told::order_is(OrderStatus::Cancelled, order_id, user_id)]
}

/// Another request may have cancelled the same order. To its customer that is the same.
struct Cancelled(OrderId);

impl Witness for Cancelled {
    async fn is_written(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM orders WHERE id = $1 AND status = 'CANCELLED')")
            .bind(self.0)
            .fetch_one(pool)
            .await
    }
}
