//! Orders in the database: reading them.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};

use super::refund::Refund;
use super::status::OrderStatus;
use super::{Order, OrderItem};
use crate::id::{OrderId, OrderItemId, UserId};
use crate::money::{Currency, Money};
use crate::pagination::cursor::{Kind, Position, Value};
use crate::pagination::total::{self, Total};
use crate::pagination::{Column, Page, PageRequest};
use crate::payments::PaymentMethod;
use crate::products::Product;
use crate::reason::Reason;
use crate::time::Timestamp;

/// Which orders are listed: those that pass all that is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderFilter {
    /// Whose; everybody's, if that is nobody.
    pub owner: Option<UserId>,
    /// That have one of these statuses; none for any.
    pub statuses: Vec<OrderStatus>,
    /// That were made then or later.
    pub from: Option<Timestamp>,
    /// That were made before then.
    pub to: Option<Timestamp>,
    /// Whose total is so much at least. (Left out of cursors where it is not asked for, so that those of before are good.)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_total: Option<Money>,
    /// Whose total is so much at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_total: Option<Money>,
}

impl OrderFilter {
    /// All orders of that user.
    pub fn of(owner: UserId) -> Self {
        Self { owner: Some(owner), ..Self::of_anybody() }
    }

    /// All orders, whoever's they are.
    pub fn of_anybody() -> Self {
        Self { owner: None, statuses: Vec::new(), from: None, to: None, min_total: None, max_total: None }
    }

    /// Whether all orders of the user, or of everybody, pass.
    fn is_plain(&self) -> bool {
        *self == Self { owner: self.owner, ..Self::of_anybody() }
    }

    /// ` FROM … WHERE …`
    fn push_matches(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(" FROM orders WHERE ");
        match self.owner {
            Some(owner) => query.push("user_id = ").push_bind(owner),
            None => query.push("true"),
        };
        match self.statuses.as_slice() {
            [] => {}
            // The index on the status has those in the order of their ids.
            [status] => {
                query.push(" AND status = ").push_bind(*status);
            }
            statuses => {
                let names: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
                query.push(" AND status = ANY(").push_bind(names).push(")");
            }
        }
        if let Some(from) = self.from {
            query.push(" AND created_at >= ").push_bind(from);
        }
        if let Some(to) = self.to {
            query.push(" AND created_at < ").push_bind(to);
        }
        if let Some(total) = self.min_total {
            query.push(" AND total_minor >= ").push_bind(total);
        }
        if let Some(total) = self.max_total {
            query.push(" AND total_minor <= ").push_bind(total);
        }
    }
}

/// What a list of orders can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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

impl Column for OrderColumn {
    const LIST: &'static str = "orders";
    const ID: &'static str = "id";
    type Row = OrderRow;

    fn sql(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Status => "status",
            Self::Total => "total_minor",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Id => Kind::Id,
            Self::Status => Kind::Text,
            Self::Total => Kind::Number,
            Self::CreatedAt | Self::UpdatedAt => Kind::Time,
        }
    }

    fn position(self, order: &OrderRow) -> Position {
        let value = match self {
            Self::Id => Value::Id,
            Self::Status => Value::Text(order.status.as_str().to_owned()),
            Self::Total => Value::Number(order.total_minor.minor()),
            Self::CreatedAt => Value::Time(order.created_at),
            Self::UpdatedAt => Value::Time(order.updated_at),
        };
        Position { value, id: order.id.0 }
    }
}

/// An order without its items.
#[derive(Debug, sqlx::FromRow)]
pub struct OrderRow {
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
#[derive(Debug, Default, sqlx::FromRow)]
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

#[derive(Debug, sqlx::FromRow)]
struct ItemRow {
    order_id: OrderId,
    item_id: OrderItemId,
    quantity: i64,
    item_price: Money,
    #[sqlx(flatten)]
    product: Product,
}

/// A page of orders.
///
/// # Errors
/// When the database refuses.
pub async fn list(
    pool: &PgPool,
    filter: &OrderFilter,
    page: &PageRequest<OrderColumn>,
) -> Result<Page<Order>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let matches = |query: &mut QueryBuilder<Postgres>| filter.push_matches(query);
    let mut query =
        QueryBuilder::new("SELECT id, status, total_minor, currency, payment_method, created_at, updated_at");
    matches(&mut query);
    page.push_end(&mut query);
    // With a filter, which plan is best hangs on its values: it is not to be one plan for all of them.
    let rows: Vec<OrderRow> = query.build_query_as().persistent(filter.is_plain()).fetch_all(&mut *connection).await?;
    let total = match page.whole_list(rows.len()) {
        Some(rows) => Total::exactly(rows),
        None => total::count(&mut connection, matches).await?,
    };
    let mut page = page.page(rows, total);
    let rows = std::mem::take(&mut page.items);
    Ok(page.with(with_items(&mut connection, rows).await?))
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
                p.id, p.sku, p.name, p.description, p.price_minor, p.stock, p.created_at, p.updated_at
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
