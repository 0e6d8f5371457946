//! Products in the database.

use sqlx::{PgConnection, PgPool, QueryBuilder};
use uuid::Uuid;

use super::{Expected, NewProduct, Product, ProductChanges, ProductColumn, Revision, Versioned};
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

/// Why a product was not edited.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// There is no such product.
    #[error("there is no product {0}")]
    UnknownProduct(ProductId),
    /// Somebody else was faster: it is in another state than the edit is meant for.
    #[error("the product is at {0} by now")]
    Changed(Revision),
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
pub async fn find(pool: &PgPool, id: ProductId) -> Result<Option<Versioned>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, description, price_minor, stock, created_at, updated_at, version
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
pub async fn create(pool: &PgPool, product: &NewProduct, actor: Option<UserId>) -> Result<Versioned, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let created: Versioned = sqlx::query_as(
        "INSERT INTO products (id, name, description, price_minor, stock) VALUES ($1, $2, $3, $4, $5)
         RETURNING id, name, description, price_minor, stock, created_at, updated_at, version",
    )
    .bind(ProductId::new())
    .bind(&product.name)
    .bind(&product.description)
    .bind(product.price)
    .bind(product.stock)
    .fetch_one(&mut *transaction)
    .await?;
    record_movement(&mut transaction, created.product.id, created.product.stock, "initial stock", actor).await?;
    transaction.commit().await?;
    Ok(created)
}

/// Edits a product, if it is in a state that the edit is meant for. A stock is absolute: what it changes by, under
/// the row's lock, becomes a movement. The state is looked at under that lock too, so that no edit and no order
/// comes in between.
///
/// # Errors
/// When there is no such product, or it is in another state.
pub async fn update(
    pool: &PgPool,
    id: ProductId,
    expected: &Expected,
    changes: &ProductChanges,
    actor: Option<UserId>,
) -> Result<Versioned, EditError> {
    let mut transaction = pool.begin().await?;
    let before = lock_expected(&mut transaction, id, expected).await?;
    let updated: Versioned = sqlx::query_as(
        "UPDATE products SET name = coalesce($2, name), description = coalesce($3, description),
                price_minor = coalesce($4, price_minor), stock = coalesce($5, stock), updated_at = now(),
                version = version + 1
         WHERE id = $1
         RETURNING id, name, description, price_minor, stock, created_at, updated_at, version",
    )
    .bind(id)
    .bind(&changes.name)
    .bind(&changes.description)
    .bind(changes.price)
    .bind(changes.stock)
    .fetch_one(&mut *transaction)
    .await?;
    record_movement(&mut transaction, id, updated.product.stock - before.stock(), "stock set", actor).await?;
    transaction.commit().await?;
    Ok(updated)
}

/// Takes a product out of the catalogue, if it is in a state that this is meant for. Orders that hold it go on showing it.
///
/// # Errors
/// When there is no such product, or it is in another state.
pub async fn delete(pool: &PgPool, id: ProductId, expected: &Expected) -> Result<(), EditError> {
    let mut transaction = pool.begin().await?;
    lock_expected(&mut transaction, id, expected).await?;
    sqlx::query("UPDATE products SET deleted_at = now() WHERE id = $1").bind(id).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
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
    let stock = lock(&mut transaction, id).await?.ok_or(AdjustError::UnknownProduct(id))?.stock();
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

async fn lock(connection: &mut PgConnection, id: ProductId) -> Result<Option<Revision>, sqlx::Error> {
    sqlx::query_as("SELECT version, stock FROM products WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE")
        .bind(id)
        .fetch_optional(connection)
        .await
}

async fn lock_expected(
    connection: &mut PgConnection,
    id: ProductId,
    expected: &Expected,
) -> Result<Revision, EditError> {
    let revision = lock(connection, id).await?.ok_or(EditError::UnknownProduct(id))?;
    if expected.allows(revision) { Ok(revision) } else { Err(EditError::Changed(revision)) }
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
