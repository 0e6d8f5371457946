//! Products in the database.

use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};

use super::search::{SearchText, Words};
use super::{Expected, NewProduct, Product, ProductChanges, ProductColumn, ProductFilter, Revision, Versioned};
use crate::id::{MovementId, OrderId, ProductId, UserId};
use crate::pagination::total::{self, Total};
use crate::pagination::{Page, PageRequest};

/// Why a product was not added to the catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Another product has its sku.
    #[error("another product has this sku")]
    SkuTaken,
    /// The database refused.
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for CreateError {
    fn from(error: sqlx::Error) -> Self {
        if is_sku_taken(&error) { Self::SkuTaken } else { Self::Database(error) }
    }
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
    /// Another product has the sku.
    #[error("another product has this sku")]
    SkuTaken,
    /// The database refused.
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for EditError {
    fn from(error: sqlx::Error) -> Self {
        if is_sku_taken(&error) { Self::SkuTaken } else { Self::Database(error) }
    }
}

/// Whether two products that are not deleted would have had the same sku.
pub(super) fn is_sku_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|refused| refused.constraint()) == Some("products_sku_unique")
}

/// Why a new product's stock is what it is.
pub(super) const INITIAL_STOCK: &str = "initial stock";

/// A page of the catalogue, or of what of it passes the filter and is found.
///
/// # Errors
/// When the database refuses.
pub async fn list(
    pool: &PgPool,
    search: Option<&SearchText>,
    filter: &ProductFilter,
    page: &PageRequest<ProductColumn>,
) -> Result<Page<Product>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let words = match search {
        None => None,
        Some(text) => match text.resolve(&mut connection).await? {
            None => return Ok(page.page(Vec::new(), Total::exactly(0))),
            words => words,
        },
    };
    let found = match &words {
        None => Found::Everything,
        Some(words) if words.are_rare(&mut connection).await? => Found::Few(words),
        Some(words) => Found::Among(words),
    };
    let source = if page.column() == ProductColumn::Stock { Source::StockLevels } else { Source::of(filter) };
    let matches = |query: &mut QueryBuilder<Postgres>| push_matches(query, source, found, filter);
    let mut query = QueryBuilder::new("SELECT id, sku, name, description, price_minor, stock, created_at, updated_at");
    matches(&mut query);
    page.push_end(&mut query);
    // With a filter, which plan is best hangs on its values: it is not to be one plan for all of them.
    let is_plain = search.is_none() && filter.is_empty();
    let rows: Vec<Product> = query.build_query_as().persistent(is_plain).fetch_all(&mut *connection).await?;
    let total = match page.whole_list(rows.len()) {
        Some(rows) => Total::exactly(rows),
        None => total::count(&mut connection, matches).await?,
    };
    Ok(page.page(rows, total))
}

/// How products are found.
#[derive(Clone, Copy)]
pub(super) enum Found<'a> {
    /// There was no search.
    Everything,
    /// Few have the words: they are looked up, and sorted afterwards.
    Few(&'a Words),
    /// Many may have the words: the planner decides whether to look them up or to meet them on the way.
    Among(&'a Words),
}

/// Where products are read.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// In their own table, which has no index on the stock.
    Products,
    /// Through `stock_levels`, which has one.
    StockLevels,
}

impl Source {
    /// For products that pass the filter.
    pub(super) fn of(filter: &ProductFilter) -> Self {
        if filter.in_stock.is_some() || filter.max_stock.is_some() { Self::StockLevels } else { Self::Products }
    }

    /// As SQL says it: something that is called `products` and has all that lists show of them.
    fn sql(self) -> &'static str {
        match self {
            Self::Products => " FROM products",
            Self::StockLevels => {
                " FROM (SELECT product_id AS id, pieces AS stock, sku, name, description, price_minor, created_at, updated_at,
                               deleted_at
                        FROM stock_levels JOIN products AS p ON p.id = product_id) AS products"
            }
        }
    }
}

/// ` FROM … WHERE …` of the products that are not deleted, are found and pass the filter.
pub(super) fn push_matches(
    query: &mut QueryBuilder<Postgres>,
    source: Source,
    found: Found<'_>,
    filter: &ProductFilter,
) {
    query.push(source.sql());
    match found {
        Found::Everything => {
            query.push(" WHERE deleted_at IS NULL");
        }
        // The planner knows that rows with a word are few, but not that they may be far apart in the order of the
        // list. As an array they are always looked up one by one.
        Found::Few(words) => {
            query.push(" WHERE deleted_at IS NULL AND id = ANY(ARRAY(SELECT product_id FROM product_search WHERE ");
            words.push_match(query);
            query.push("))");
        }
        Found::Among(words) => {
            query.push(" JOIN product_search ON product_id = id WHERE deleted_at IS NULL AND ");
            words.push_match(query);
        }
    }
    if let Some(price) = filter.min_price {
        query.push(" AND price_minor >= ").push_bind(price);
    }
    if let Some(price) = filter.max_price {
        query.push(" AND price_minor <= ").push_bind(price);
    }
    if let Some(in_stock) = filter.in_stock {
        // Those of which there are none are in the index on pieces in the order of their ids.
        query.push(if in_stock { " AND stock > 0" } else { " AND stock = 0" });
    }
    if let Some(pieces) = filter.max_stock {
        query.push(" AND stock <= ").push_bind(pieces);
    }
    if let Some(sku) = &filter.sku {
        query.push(" AND sku = ").push_bind(sku.clone());
    }
}

/// The product, unless it is deleted.
///
/// # Errors
/// When the database refuses.
pub async fn find(pool: &PgPool, id: ProductId) -> Result<Option<Versioned>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, sku, name, description, price_minor, stock, created_at, updated_at, version
         FROM products WHERE id = $1 AND deleted_at IS NULL",
    )
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// Adds a product to the catalogue; its first stock is its first movement.
///
/// # Errors
/// When another product has its sku, or the database refuses.
pub async fn create(pool: &PgPool, product: &NewProduct, actor: Option<UserId>) -> Result<Versioned, CreateError> {
    let mut transaction = pool.begin().await?;
    let created: Versioned = sqlx::query_as(
        "INSERT INTO products (id, sku, name, description, price_minor, stock) VALUES ($1, $2, $3, $4, $5, $6)
         RETURNING id, sku, name, description, price_minor, stock, created_at, updated_at, version",
    )
    .bind(ProductId::new())
    .bind(&product.sku)
    .bind(&product.name)
    .bind(&product.description)
    .bind(product.price)
    .bind(product.stock)
    .fetch_one(&mut *transaction)
    .await?;
    record_movement(&mut transaction, created.product.id, created.product.stock, INITIAL_STOCK, actor).await?;
    transaction.commit().await?;
    Ok(created)
}

/// Edits a product, if it is in a state that the edit is meant for. A stock is absolute: what it changes by, under
/// the row's lock, becomes a movement. The state is looked at under that lock too, so that no edit and no order
/// comes in between.
///
/// # Errors
/// When there is no such product, it is in another state, or another product has the sku.
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
                price_minor = coalesce($4, price_minor), stock = coalesce($5, stock),
                sku = CASE WHEN $6 THEN $7 ELSE sku END, updated_at = now(), version = version + 1
         WHERE id = $1
         RETURNING id, sku, name, description, price_minor, stock, created_at, updated_at, version",
    )
    .bind(id)
    .bind(&changes.name)
    .bind(&changes.description)
    .bind(changes.price)
    .bind(changes.stock)
    .bind(changes.sku.is_some())
    .bind(changes.sku.as_ref().and_then(Option::as_ref))
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

/// Gives back what these orders hold, and says of which products. They are locked in the order of their ids.
///
/// # Errors
/// When the database refuses.
pub async fn release_stock(connection: &mut PgConnection, orders: &[OrderId]) -> Result<Vec<ProductId>, sqlx::Error> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(
        "WITH back AS (
             SELECT product_id AS id, sum(quantity)::bigint AS quantity
             FROM order_items WHERE order_id = ANY($1) GROUP BY product_id
         ), locked AS (
             SELECT p.id FROM products p JOIN back USING (id) ORDER BY p.id FOR NO KEY UPDATE OF p
         )
         UPDATE products p SET stock = p.stock + back.quantity FROM back JOIN locked USING (id) WHERE p.id = back.id
         RETURNING p.id",
    )
    .bind(orders)
    .fetch_all(connection)
    .await
}

pub(super) async fn lock(connection: &mut PgConnection, id: ProductId) -> Result<Option<Revision>, sqlx::Error> {
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

pub(super) async fn record_movement(
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
        .bind(MovementId::new())
        .bind(id)
        .bind(delta)
        .bind(reason)
        .bind(actor)
        .execute(connection)
        .await?;
    Ok(())
}
