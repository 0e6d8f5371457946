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

/// Up to so many products are looked up and sorted, rather than met on the way through all.
const FEW: i64 = 1000;

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
    let source = Source::of_page(&mut connection, filter, page.column()).await?;
    let mut query = QueryBuilder::new("SELECT id, sku, name, description, price_minor, stock, created_at, updated_at");
    push_matches(&mut query, source, found, filter);
    page.push_end(&mut query);
    // With a filter, which plan is best hangs on its values: it is not to be one plan for all of them.
    let is_plain = search.is_none() && filter.is_empty();
    let rows: Vec<Product> = query.build_query_as().persistent(is_plain).fetch_all(&mut *connection).await?;
    let total = match page.whole_list(rows.len()) {
        Some(rows) => Total::exactly(rows),
        None => {
            let source = match source {
                Source::Levels => Source::of_all(&mut connection, filter).await?,
                found_already => found_already,
            };
            total::count(&mut connection, |query| push_matches(query, source, found, filter)).await?
        }
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

/// Where products are read. Which way is best is decided here and not by the planner: joined with the levels, it was
/// misled by its estimates often enough.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// In their own table, which has no index on the stock.
    Products,
    /// In their own table, looked up because few have such a stock.
    FewOfProducts,
    /// One by one as `stock_levels` has them, whose indexes have the stock.
    Levels,
}

impl Source {
    /// For a page of products that pass the filter, in the order of this column.
    async fn of_page(
        connection: &mut PgConnection,
        filter: &ProductFilter,
        column: ProductColumn,
    ) -> Result<Self, sqlx::Error> {
        let by_level = column == ProductColumn::Stock || column == ProductColumn::Id && filter.is_about_stock();
        // Few that something else tells would be met late on the way through the levels.
        if by_level && filter.sku.is_none() && !has_few_prices(connection, filter).await? {
            return Ok(Self::Levels);
        }
        Self::of_all(connection, filter).await
    }

    /// For all products that pass the filter, in any order.
    async fn of_all(connection: &mut PgConnection, filter: &ProductFilter) -> Result<Self, sqlx::Error> {
        let few = filter.is_about_stock() && has_few_levels(connection, filter).await?;
        Ok(if few { Self::FewOfProducts } else { Self::Products })
    }

    /// As SQL says it: something that is called `products` and has all that lists show of them.
    fn sql(self) -> &'static str {
        match self {
            Self::Products | Self::FewOfProducts => " FROM products",
            // Without OFFSET 0 the planner may read the products in the order of their ids, from the first one on.
            Self::Levels => {
                " FROM (SELECT product_id AS id, pieces AS stock, p.*
                        FROM stock_levels CROSS JOIN LATERAL (
                            SELECT sku, name, description, price_minor, created_at, updated_at, deleted_at
                            FROM products WHERE id = product_id OFFSET 0) AS p) AS products"
            }
        }
    }
}

/// Whether few products have such a stock, so that they are found by it sooner than by going through all.
async fn has_few_levels(connection: &mut PgConnection, filter: &ProductFilter) -> Result<bool, sqlx::Error> {
    let mut levels = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM stock_levels WHERE true");
    push_stock(&mut levels, "pieces", filter);
    are_few(connection, levels).await
}

/// Whether the filter asks for prices that few products have.
async fn has_few_prices(connection: &mut PgConnection, filter: &ProductFilter) -> Result<bool, sqlx::Error> {
    if filter.min_price.is_none() && filter.max_price.is_none() {
        return Ok(false);
    }
    let mut products = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM products WHERE deleted_at IS NULL");
    push_price(&mut products, filter);
    are_few(connection, products).await
}

/// Whether a query that counts the rows of another one, which it begins, counts few.
async fn are_few(connection: &mut PgConnection, mut count: QueryBuilder<Postgres>) -> Result<bool, sqlx::Error> {
    count.push(" LIMIT ").push_bind(FEW + 1).push(") AS few");
    let counted: i64 = count.build_query_scalar().persistent(false).fetch_one(connection).await?;
    Ok(counted <= FEW)
}

/// ` AND …` what the filter says of the price.
fn push_price(query: &mut QueryBuilder<Postgres>, filter: &ProductFilter) {
    if let Some(price) = filter.min_price {
        query.push(" AND price_minor >= ").push_bind(price);
    }
    if let Some(price) = filter.max_price {
        query.push(" AND price_minor <= ").push_bind(price);
    }
}

/// ` AND …` what the filter says of the stock, which is in this column.
fn push_stock(query: &mut QueryBuilder<Postgres>, column: &str, filter: &ProductFilter) {
    if let Some(in_stock) = filter.in_stock {
        query.push(format_args!(" AND {column} {} 0", if in_stock { ">" } else { "=" }));
    }
    if let Some(pieces) = filter.max_stock {
        query.push(format_args!(" AND {column} <= ")).push_bind(pieces);
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
    push_price(query, filter);
    push_stock(query, "stock", filter);
    if matches!(source, Source::FewOfProducts) {
        query.push(" AND id = ANY(ARRAY(SELECT product_id FROM stock_levels WHERE true");
        push_stock(query, "pieces", filter);
        query.push("))");
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
