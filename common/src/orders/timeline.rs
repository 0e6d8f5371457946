//! The timeline of an order: what has happened to it and its payment, as the events tell it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::PgPool;
use sqlx::types::Json;

use crate::events::EventKind;
use crate::id::{OrderId, UserId};
use crate::time::{self, Timestamp};

/// A part of a timeline, oldest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// What has happened.
    pub items: Vec<Entry>,
    /// Whether more comes after these: ask for what is after the `seq` of the last one.
    pub has_next_page: bool,
}

/// One thing that has happened.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Entry {
    /// Its number among the events of the order's customer.
    pub seq: i64,
    /// What it was, as the wire says it: `order.status`, `payment.status`.
    pub r#type: &'static str,
    /// When.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What the order's or the payment's status was then.
    pub status: String,
    /// More of a payment.
    #[serde(flatten)]
    pub payment: Option<Attempts>,
}

/// How far the attempts at a payment were.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempts {
    /// Answers of the gateway until then.
    pub attempt: Option<i32>,
    /// When it is tried again, if it is.
    #[schema(format = DateTime)]
    pub next_attempt_at: Option<String>,
    /// Why it was not paid, if it was not.
    pub error: Option<String>,
}

#[derive(sqlx::FromRow)]
struct EventRow {
    seq: i64,
    kind: EventKind,
    data: Json<Box<RawValue>>,
    created_at: Timestamp,
}

/// What an event says; of an order it is the status only.
#[derive(Deserialize)]
struct Particulars {
    status: String,
    #[serde(flatten)]
    attempts: Attempts,
}

impl EventRow {
    fn entry(self) -> Result<Entry, sqlx::Error> {
        let Particulars { status, attempts } =
            serde_json::from_str(self.data.get()).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let payment = (self.kind != EventKind::OrderStatus).then_some(attempts);
        Ok(Entry { seq: self.seq, r#type: self.kind.as_str(), at: self.created_at, status, payment })
    }
}

/// What has happened to an order after a number, and so much of it at most. It reaches back as far as events are kept.
///
/// Gives `None` when there is no such order, or `owner` is somebody and it is not theirs.
///
/// # Errors
/// When the database refuses, or holds an event that cannot be read.
pub async fn of(
    pool: &PgPool,
    owner: Option<UserId>,
    order: OrderId,
    after: i64,
    take: u32,
) -> Result<Option<Timeline>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let there: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM orders WHERE id = $1 AND user_id = coalesce($2, user_id))")
            .bind(order)
            .bind(owner)
            .fetch_one(&mut *connection)
            .await?;
    if !there {
        return Ok(None);
    }
    let mut rows: Vec<EventRow> = sqlx::query_as(
        "SELECT seq, kind, data, created_at FROM events WHERE order_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
    )
    .bind(order)
    .bind(after)
    .bind(i64::from(take) + 1)
    .fetch_all(&mut *connection)
    .await?;
    let has_next_page = rows.len() > take as usize;
    rows.truncate(take as usize);
    let items = rows.into_iter().map(EventRow::entry).collect::<Result<_, _>>()?;
    Ok(Some(Timeline { items, has_next_page }))
}
