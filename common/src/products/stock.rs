//! Stock by hand: corrections and recounts, each with a recorded movement, and what open orders hold.

use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use super::Stock;
use super::queries::{lock, record_movement};
use crate::id::{ProductId, UserId};
use crate::reason::Reason;

/// Why stock could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum AdjustError {
    /// There is no such product.
    #[error("there is no product {0}")]
    UnknownProduct(ProductId),
    /// More would be taken than there is, or there would be more than a stock can be.
    #[error("the stock is {stock}, so it cannot change by {delta}")]
    OutOfRange {
        /// What there is.
        stock: i64,
        /// What was asked for.
        delta: i64,
    },
    /// The database refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Changes the stock by so much, and gives what there is now.
///
/// # Errors
/// When there is no such product, or less in stock than is to be taken.
pub async fn adjust(
    pool: &PgPool,
    id: ProductId,
    delta: i64,
    reason: &Reason,
    actor: Option<UserId>,
) -> Result<i64, AdjustError> {
    let change = |stock: i64| {
        stock
            .checked_add(delta)
            .and_then(|pieces| Stock::try_from(pieces).ok())
            .ok_or(AdjustError::OutOfRange { stock, delta })
    };
    Ok(write(pool, id, change, reason, actor).await?.now)
}

/// A stock that was counted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recounted {
    /// What there was, as far as the books knew.
    pub before: i64,
    /// What there is now.
    pub now: i64,
}

/// Sets the stock to what was counted. The difference, taken under the lock of the product, is the movement; without
/// one, none is recorded.
///
/// # Errors
/// When there is no such product.
pub async fn recount(
    pool: &PgPool,
    id: ProductId,
    counted: Stock,
    reason: &Reason,
    actor: Option<UserId>,
) -> Result<Recounted, AdjustError> {
    write(pool, id, |_| Ok(counted), reason, actor).await
}

async fn write(
    pool: &PgPool,
    id: ProductId,
    change: impl FnOnce(i64) -> Result<Stock, AdjustError>,
    reason: &Reason,
    actor: Option<UserId>,
) -> Result<Recounted, AdjustError> {
    let mut transaction = pool.begin().await?;
    let before = lock(&mut transaction, id).await?.ok_or(AdjustError::UnknownProduct(id))?.stock();
    let now = change(before)?.pieces();
    sqlx::query("UPDATE products SET stock = $2 WHERE id = $1").bind(id).bind(now).execute(&mut *transaction).await?;
    record_movement(&mut transaction, id, now - before, reason.as_str(), actor).await?;
    transaction.commit().await?;
    Ok(Recounted { before, now })
}

/// What open orders hold of a product: it is not in stock any more, and comes back if they are not paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::FromRow, ToSchema)]
pub struct Held {
    /// How many orders.
    pub orders: i64,
    /// How many pieces together.
    pub pieces: i64,
}

/// What open orders hold of a product.
///
/// # Errors
/// When the database refuses.
pub async fn held(pool: &PgPool, id: ProductId) -> Result<Held, sqlx::Error> {
    sqlx::query_as(
        "SELECT count(*) AS orders, coalesce(sum(i.quantity), 0)::bigint AS pieces
         FROM orders o JOIN order_items i ON i.order_id = o.id
         WHERE o.status IN ('PENDING', 'PROCESSING') AND i.product_id = $1",
    )
    .bind(id)
    .fetch_one(pool)
    .await
}
