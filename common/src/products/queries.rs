//! Products in the database.

use sqlx::{PgConnection, PgPool, QueryBuilder};
use uuid::Uuid;

use super::{NewProduct, Product, ProductChanges, ProductColumn};
use crate::id::{OrderId, ProductId, UserId};
use crate::pagination::{Page, PageRequest};
use crate::reason::Reason;

/// Up to so many rows are counted one by one; above, the planner's estimate is taken.
const COUNT_EXACTLY: i64 = 10_000;

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

/// A page of the catalogue.
///
/// # Errors
/// When the database refuses.
pub async fn list(pool: &PgPool, page: &PageRequest<ProductColumn>) -> Result<Page<Product>, sqlx::Error> {
    let (column, direction) = (page.order_by.sql(), page.direction.sql());
    let mut query = QueryBuilder::new("SELECT ");
    query
        .push("id, name, description, price_minor, stock, created_at, updated_at")
        .push(" FROM products WHERE deleted_at IS NULL ORDER BY ");
    query.push(column).push(" ").push(direction);
    if page.order_by != ProductColumn::Id {
        query.push(", id ").push(direction);
    }
    query.push(" LIMIT ").push_bind(i64::from(page.take) + 1).push(" OFFSET ").push_bind(i64::from(page.skip));
    let items = query.build_query_as().fetch_all(pool).await?;
    Ok(Page::from_one_more(items, page.take, count(pool).await?))
}

/// How many products there are: exact for a small catalogue, the planner's
/// estimate for a large one, because counting it would read all of it.
async fn count(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT CASE WHEN n <= $1 THEN n
                ELSE greatest(n, (SELECT reltuples::bigint FROM pg_class WHERE oid = 'products'::regclass)) END
         FROM (SELECT count(*) AS n FROM (SELECT FROM products WHERE deleted_at IS NULL LIMIT $1 + 1) AS sample) AS counted",
    )
    .bind(COUNT_EXACTLY)
    .fetch_one(pool)
    .await
}

/// The product, unless it is deleted.
///
/// # Errors
/// When the database refuses.
pub async fn find(pool: &PgPool, id: ProductId) -> Result<Option<Product>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, description, price_minor, stock, created_at, updated_at
         FROM products WHERE id = $1 AND deleted_at IS NULL",
    )
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// Adds a product to the catalogue; its first stock is its first movement.
///
/// # Errors
/// When the database refuses.
pub async fn create(pool: &PgPool, product: &NewProduct, actor: Option<UserId>) -> Result<Product, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let created: Product = sqlx::query_as(
        "INSERT INTO products (id, name, description, price_minor, stock) VALUES ($1, $2, $3, $4, $5)
         RETURNING id, name, description, price_minor, stock, created_at, updated_at",
    )
    .bind(ProductId::new())
    .bind(&product.name)
    .bind(&product.description)
    .bind(product.price)
    .bind(product.stock)
    .fetch_one(&mut *transaction)
    .await?;
    record_movement(&mut transaction, created.id, created.stock, "initial stock", actor).await?;
    transaction.commit().await?;
    Ok(created)
}

/// Edits a product. A stock is absolute: what it changes by, under the row's lock, becomes a movement.
///
/// Gives `None` when there is no such product.
///
/// # Errors
/// When the database refuses.
pub async fn update(
    pool: &PgPool,
    id: ProductId,
    changes: &ProductChanges,
    actor: Option<UserId>,
) -> Result<Option<Product>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let Some(before) = lock_stock(&mut transaction, id).await? else { return Ok(None) };
    let updated: Product = sqlx::query_as(
        "UPDATE products SET name = coalesce($2, name), description = coalesce($3, description),
                price_minor = coalesce($4, price_minor), stock = coalesce($5, stock), updated_at = now()
         WHERE id = $1
         RETURNING id, name, description, price_minor, stock, created_at, updated_at",
    )
    .bind(id)
    .bind(&changes.name)
    .bind(&changes.description)
    .bind(changes.price)
    .bind(changes.stock)
    .fetch_one(&mut *transaction)
    .await?;
    record_movement(&mut transaction, id, updated.stock - before, "stock set", actor).await?;
    transaction.commit().await?;
    Ok(Some(updated))
}

/// Takes a product out of the catalogue. Orders that hold it go on showing it. Says whether it was there.
///
/// # Errors
/// When the database refuses.
pub async fn delete(pool: &PgPool, id: ProductId) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("UPDATE products SET deleted_at = now() WHERE id = $1 AND deleted_at IS NULL")
        .bind(id)
        .execute(pool)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Changes the stock by so much, and gives what there is now.
///
/// # Errors
/// When there is no such product, or less in stock than is to be taken.
pub async fn adjust_stock(
    pool: &PgPool,
    id: ProductId,
    delta: i64,
    reason: &Reason,
    actor: Option<UserId>,
) -> Result<i64, AdjustError> {
    let mut transaction = pool.begin().await?;
    let stock = lock_stock(&mut transaction, id).await?.ok_or(AdjustError::UnknownProduct(id))?;
    let changed = stock
        .checked_add(delta)
        .filter(|pieces| super::Stock::try_from(*pieces).is_ok())
        .ok_or(AdjustError::OutOfRange { stock, delta })?;
    sqlx::query("UPDATE products SET stock = $2 WHERE id = $1")
        .bind(id)
        .bind(changed)
        .execute(&mut *transaction)
        .await?;
    record_movement(&mut transaction, id, delta, reason.as_str(), actor).await?;
    transaction.commit().await?;
    Ok(changed)
}

/// Gives back what these orders hold. The products are locked in the order of their ids.
///
/// # Errors
/// When the database refuses.
pub async fn release_stock(connection: &mut PgConnection, orders: &[OrderId]) -> Result<(), sqlx::Error> {
    if orders.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "WITH back AS (
             SELECT product_id AS id, sum(quantity)::bigint AS quantity
             FROM order_items WHERE order_id = ANY($1) GROUP BY product_id
         ), locked AS (
             SELECT p.id FROM products p JOIN back USING (id) ORDER BY p.id FOR NO KEY UPDATE OF p
         )
         UPDATE products p SET stock = p.stock + back.quantity FROM back JOIN locked USING (id) WHERE p.id = back.id",
    )
    .bind(orders)
    .execute(connection)
    .await?;
    Ok(())
}

async fn lock_stock(connection: &mut PgConnection, id: ProductId) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT stock FROM products WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE")
        .bind(id)
        .fetch_optional(connection)
        .await
}

async fn record_movement(
    connection: &mut PgConnection,
    id: ProductId,
    delta: i64,
    reason: &str,
    actor: Option<UserId>,
) -> Result<(), sqlx::Error> {
    if delta == 0 {
        return Ok(());
    }
    sqlx::query("INSERT INTO stock_movements (id, product_id, delta, reason, actor_id) VALUES ($1, $2, $3, $4, $5)")
        .bind(Uuid::now_v7())
        .bind(id)
        .bind(delta)
        .bind(reason)
        .bind(actor)
        .execute(connection)
        .await?;
    Ok(())
}
