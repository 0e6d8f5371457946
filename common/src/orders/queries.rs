//! Orders in the database: reading them.

use std::collections::HashMap;

use sqlx::{PgConnection, PgPool, QueryBuilder};

use super::refund::Refund;
use super::status::OrderStatus;
use super::{Order, OrderItem};
use crate::id::{OrderId, OrderItemId, UserId};
use crate::money::{Currency, Money};
use crate::pagination::{Page, PageRequest};
use crate::payments::PaymentMethod;
use crate::products::Product;
use crate::reason::Reason;
use crate::time::Timestamp;

/// What a list of orders can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderColumn {
    /// The id, which is the order of making.
    Id,
    /// The status.
    Status,
    /// The total.
    Total,
    /// The time of making.
    CreatedAt,
    /// The time of the last move.
    UpdatedAt,
}

impl OrderColumn {
    fn sql(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Status => "status",
            Self::Total => "total_minor",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
        }
    }
}

#[derive(sqlx::FromRow)]
struct OrderRow {
    id: OrderId,
    status: OrderStatus,
    total_minor: Money,
    currency: Currency,
    payment_method: PaymentMethod,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[sqlx(flatten)]
    refund: RefundRow,
}

/// What of an order's refund was read: nothing where there is none, and in lists, which do not look for it.
#[derive(Default, sqlx::FromRow)]
#[sqlx(default)]
struct RefundRow {
    restock: Option<bool>,
    reason: Option<Reason>,
    requested_at: Option<Timestamp>,
    refunded_at: Option<Timestamp>,
}

impl RefundRow {
    fn refund(self) -> Option<Refund> {
        Some(Refund::new(self.restock?, self.reason, self.requested_at?, self.refunded_at))
    }
}

#[derive(sqlx::FromRow)]
struct ItemRow {
    order_id: OrderId,
    item_id: OrderItemId,
    quantity: i64,
    item_price: Money,
    #[sqlx(flatten)]
    product: Product,
}

/// A page of a user's orders.
///
/// # Errors
/// When the database refuses.
pub async fn list(pool: &PgPool, owner: UserId, page: &PageRequest<OrderColumn>) -> Result<Page<Order>, sqlx::Error> {
    let direction = page.direction.sql();
    let mut query = QueryBuilder::new(
        "SELECT id, status, total_minor, currency, payment_method, created_at, updated_at FROM orders WHERE user_id = ",
    );
    query.push_bind(owner).push(" ORDER BY ").push(page.order_by.sql()).push(" ").push(direction);
    if page.order_by != OrderColumn::Id {
        query.push(", id ").push(direction);
    }
    query.push(" LIMIT ").push_bind(i64::from(page.take) + 1).push(" OFFSET ").push_bind(i64::from(page.skip));
    let mut connection = pool.acquire().await?;
    let rows = query.build_query_as().fetch_all(&mut *connection).await?;
    let total = sqlx::query_scalar("SELECT count(*) FROM orders WHERE user_id = $1")
        .bind(owner)
        .fetch_one(&mut *connection)
        .await?;
    let page = Page::from_one_more(rows, page.take, total);
    Ok(Page {
        items: with_items(&mut connection, page.items).await?,
        has_next_page: page.has_next_page,
        total_count: total,
    })
}

/// The order, if it is this user's.
///
/// # Errors
/// When the database refuses.
pub async fn find(pool: &PgPool, owner: UserId, id: OrderId) -> Result<Option<Order>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let rows = sqlx::query_as(
        "SELECT o.id, o.status, o.total_minor, o.currency, o.payment_method, o.created_at, o.updated_at,
                r.restock, r.reason, r.requested_at, r.refunded_at
         FROM orders o LEFT JOIN refunds r ON r.order_id = o.id WHERE o.id = $1 AND o.user_id = $2",
    )
    .bind(id)
    .bind(owner)
    .fetch_all(&mut *connection)
    .await?;
    Ok(with_items(&mut connection, rows).await?.pop())
}

/// The order, whoever's it is.
///
/// # Errors
/// When the database refuses.
pub async fn find_of_anybody(pool: &PgPool, id: OrderId) -> Result<Option<Order>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    Ok(find_all(&mut connection, &[id]).await?.pop())
}

/// Those orders, whoever's they are, in no particular order.
pub(super) async fn find_all(connection: &mut PgConnection, ids: &[OrderId]) -> Result<Vec<Order>, sqlx::Error> {
    let rows = sqlx::query_as(
        "SELECT o.id, o.status, o.total_minor, o.currency, o.payment_method, o.created_at, o.updated_at,
                r.restock, r.reason, r.requested_at, r.refunded_at
         FROM orders o LEFT JOIN refunds r ON r.order_id = o.id WHERE o.id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    with_items(connection, rows).await
}

async fn with_items(connection: &mut PgConnection, rows: Vec<OrderRow>) -> Result<Vec<Order>, sqlx::Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<OrderId> = rows.iter().map(|row| row.id).collect();
    let items: Vec<ItemRow> = sqlx::query_as(
        "SELECT i.order_id, i.id AS item_id, i.quantity, i.price_minor AS item_price,
                p.id, p.name, p.description, p.price_minor, p.stock, p.created_at, p.updated_at
         FROM order_items i JOIN products p ON p.id = i.product_id
         WHERE i.order_id = ANY($1) ORDER BY i.order_id, i.line",
    )
    .bind(&ids)
    .fetch_all(connection)
    .await?;
    let mut by_order: HashMap<OrderId, Vec<OrderItem>> = HashMap::new();
    for row in items {
        by_order.entry(row.order_id).or_default().push(OrderItem {
            id: row.item_id,
            quantity: row.quantity,
            price: row.item_price,
            product: row.product,
        });
    }
    Ok(rows
        .into_iter()
        .map(|row| Order {
            id: row.id,
            status: row.status,
            total: row.total_minor,
            currency: row.currency,
            payment_method: row.payment_method,
            created_at: row.created_at,
            updated_at: row.updated_at,
            order_items: by_order.remove(&row.id).unwrap_or_default(),
            refund: row.refund.refund(),
        })
        .collect())
}
