//! News: what customers are told of their orders, made of the events as they are read.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sqlx::{PgConnection, PgPool};

use super::status::OrderStatus;
use super::{Order, queries};
use crate::events::{self, Event, EventKind};
use crate::id::{OrderId, UserId};
use crate::time::Timestamp;

/// An event as its owner is told of it.
#[derive(Debug)]
pub struct News {
    /// Whose it is.
    pub user: UserId,
    /// Its number among the user's events.
    pub seq: i64,
    /// What happened.
    pub kind: EventKind,
    /// To which order, or whose payment.
    pub order: OrderId,
    /// When.
    pub at: Timestamp,
    /// The payment as it was at the event, or the order as `GET /orders/{id}` gives it when this is
    /// read, but with the status that it had at the event.
    pub data: Box<RawValue>,
}

/// What an event says of an order.
#[derive(Deserialize)]
struct Moved {
    status: OrderStatus,
}

/// An order that a customer is told of.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    #[serde(flatten)]
    order: &'a Order,
    created_by: UserId,
}

/// The news of each user after a number, oldest first, and so many of each at most.
///
/// # Errors
/// When the database refuses, or holds an event that cannot be read.
pub async fn after(
    connection: &mut PgConnection,
    positions: &[(UserId, i64)],
    limit: u32,
) -> Result<Vec<News>, sqlx::Error> {
    let events = events::after(&mut *connection, positions, limit).await?;
    of(connection, events).await
}

/// Where the news of an order begin.
#[derive(Debug, sqlx::FromRow)]
pub struct Beginning {
    /// Whose it is.
    #[sqlx(rename = "user_id")]
    pub owner: UserId,
    /// How far it is.
    pub status: OrderStatus,
    /// Whether its money is to be given back, and was not yet.
    pub refund_pending: bool,
    /// The number of the first event that is still there.
    pub first: Option<i64>,
}

/// Where the news of an order begin. `None` when there is no such order.
///
/// # Errors
/// When the database refuses.
pub async fn beginning(pool: &PgPool, order: OrderId) -> Result<Option<Beginning>, sqlx::Error> {
    sqlx::query_as(
        "SELECT o.user_id, o.status,
                EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.refunded_at IS NULL) AS refund_pending,
                (SELECT min(seq) FROM events e WHERE e.user_id = o.user_id AND e.order_id = o.id) AS first
         FROM orders o WHERE o.id = $1",
    )
    .bind(order)
    .fetch_optional(pool)
    .await
}

/// Events as news. The orders are read for all of them at once.
///
/// # Errors
/// When the database refuses, or an event cannot be read.
pub async fn of(connection: &mut PgConnection, events: Vec<Event>) -> Result<Vec<News>, sqlx::Error> {
    let mut ids: Vec<OrderId> =
        events.iter().filter(|event| event.kind == EventKind::OrderStatus).map(|event| event.order_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let orders = if ids.is_empty() { Vec::new() } else { queries::find_all(connection, &ids).await? };
    let mut orders: HashMap<OrderId, Order> = orders.into_iter().map(|order| (order.id, order)).collect();
    let unreadable = |error: serde_json::Error| sqlx::Error::Decode(error.into());
    let mut news = Vec::with_capacity(events.len());
    for Event { user_id, seq, kind, order_id, data, created_at } in events {
        let data = match (kind, orders.get_mut(&order_id)) {
            (EventKind::OrderStatus, Some(order)) => {
                order.status = serde_json::from_str::<Moved>(data.get()).map_err(unreadable)?.status;
                to_raw_value(&Told { order, created_by: user_id }).map_err(unreadable)?
            }
            _ => data.0,
        };
        news.push(News { user: user_id, seq, kind, order: order_id, at: created_at, data });
    }
    Ok(news)
}
