//! Orders as operators see them: whose they are, and of one all that is written down about it.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use super::Order;
use super::queries::{self, OrderColumn, OrderFilter};
use super::timeline::{self, Entry};
use crate::id::{JobId, OrderId, UserId};
use crate::jobs::JobState;
use crate::pagination::{Page, PageRequest};
use crate::payments::record::{self as payments, PaymentRecord};
use crate::time::{self, Timestamp};
use crate::users::Email;

/// The most of a timeline that is shown. An order moves a few times, and is tried a few dozen times at the most.
const WHOLE_TIMELINE: u32 = 1000;

/// Who has ordered.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, ToSchema)]
pub struct Customer {
    /// Who.
    pub id: UserId,
    /// Their address.
    #[schema(value_type = String, format = Email)]
    pub email: Email,
}

/// An order, and whose it is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CustomersOrder {
    /// The order, as its customer sees it.
    #[serde(flatten)]
    pub order: Order,
    /// Whose it is.
    pub customer: Customer,
}

/// A page of orders, and whose they are: of [`queries::list`].
///
/// # Errors
/// When the database refuses.
pub async fn list(
    pool: &PgPool,
    filter: &OrderFilter,
    page: &PageRequest<OrderColumn>,
) -> Result<Page<CustomersOrder>, sqlx::Error> {
    let mut page = queries::list(pool, filter, page).await?;
    let orders = std::mem::take(&mut page.items);
    let mut customers = customers(pool, &orders.iter().map(|order| order.id).collect::<Vec<_>>()).await?;
    let with_customer = |order: Order| {
        let customer = customers.remove(&order.id)?;
        Some(CustomersOrder { order, customer })
    };
    let orders = orders.into_iter().filter_map(with_customer).collect();
    Ok(page.with(orders))
}

/// Neither orders nor users are ever deleted, so each order has its customer here.
async fn customers(pool: &PgPool, orders: &[OrderId]) -> Result<HashMap<OrderId, Customer>, sqlx::Error> {
    #[derive(sqlx::FromRow)]
    struct Row {
        order_id: OrderId,
        #[sqlx(flatten)]
        customer: Customer,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT o.id AS order_id, u.id, u.email FROM orders o JOIN users u ON u.id = o.user_id WHERE o.id = ANY($1)",
    )
    .bind(orders)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.order_id, row.customer)).collect())
}

/// A job of an order, in short.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrdersJob {
    /// Which one.
    pub id: JobId,
    /// What is to be done.
    pub kind: String,
    /// How far it is.
    pub state: JobState,
    /// When it is due, or was.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub run_at: Timestamp,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// All that is written down about an order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderRecord {
    /// The order, its items, its refund, and whose it is.
    #[serde(flatten)]
    pub order: CustomersOrder,
    /// How it is paid.
    pub payment: PaymentRecord,
    /// What was, or is to be, done for it, the newest first.
    pub jobs: Vec<OrdersJob>,
    /// What has happened to it, oldest first, as far back as events are kept.
    pub timeline: Vec<Entry>,
}

/// All that is written down about an order, whoever's it is.
///
/// # Errors
/// When the database refuses, or holds an event that cannot be read.
pub async fn find(pool: &PgPool, id: OrderId) -> Result<Option<OrderRecord>, sqlx::Error> {
    let Some(order) = queries::find_of_anybody(pool, id).await? else { return Ok(None) };
    let customer = customers(pool, &[id]).await?.remove(&id).ok_or(sqlx::Error::RowNotFound)?;
    let payment = payments::find(pool, id.0).await?.ok_or(sqlx::Error::RowNotFound)?;
    let jobs =
        sqlx::query_as("SELECT id, kind, state, run_at, last_error FROM jobs WHERE order_id = $1 ORDER BY id DESC")
            .bind(id)
            .fetch_all(pool)
            .await?;
    let timeline = timeline::of(pool, None, id, 0, WHOLE_TIMELINE).await?;
    let timeline = timeline.map_or_else(Vec::new, |timeline| timeline.items);
    Ok(Some(OrderRecord { order: CustomersOrder { order, customer }, payment, jobs, timeline }))
}
