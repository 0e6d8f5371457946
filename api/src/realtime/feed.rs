//! A feed: a user's events after a position, as they are pushed.

use serde_json::{Value, json};
use shop_common::events::{self, Event, EventKind};
use shop_common::id::UserId;
use shop_common::orders::queries;
use sqlx::PgPool;

/// Events that are read at once.
pub(super) const PAGE: usize = 100;

/// Where a socket is in its user's events.
pub(super) struct Feed {
    pool: PgPool,
    user: UserId,
    /// The number of the last event that was sent.
    pub(super) position: i64,
}

/// An event as it is pushed.
pub(super) struct News {
    pub(super) seq: i64,
    pub(super) kind: EventKind,
    pub(super) data: Value,
}

/// Where a feed begins.
pub(super) enum Start {
    /// After that number.
    At(Feed),
    /// The number that was asked for is from other books: at what happens from now on.
    Afresh(Feed),
}

impl Feed {
    /// The feed of a user, after `since` or from now on.
    pub(super) async fn start(pool: PgPool, user: UserId, since: Option<i64>) -> Result<Start, sqlx::Error> {
        let last = events::last_numbers(&pool, &[user]).await?.first().map_or(0, |(_, last)| *last);
        Ok(match since {
            Some(since) if since > last => Start::Afresh(Self { pool, user, position: last }),
            since => Start::At(Self { pool, user, position: since.unwrap_or(last) }),
        })
    }

    /// The next events. An order comes whole, as `GET /orders/{id}` gives it now, but with the
    /// status that it had at the event.
    pub(super) async fn read(&self) -> Result<Vec<News>, sqlx::Error> {
        let limit = u32::try_from(PAGE).unwrap_or(u32::MAX);
        let events = events::after(&self.pool, self.user, self.position, limit).await?;
        let ids: Vec<_> =
            events.iter().filter(|event| event.kind == EventKind::OrderStatus).map(|event| event.order_id).collect();
        let orders = queries::find_all(&self.pool, self.user, &ids).await?;
        let data = |event: &Event| match event.kind {
            EventKind::PaymentStatus => event.data.clone(),
            EventKind::OrderStatus => {
                let order = orders.iter().find(|order| order.id == event.order_id);
                let mut data = order.map_or(Value::Null, |order| json!(order));
                if let (Value::Object(data), Some(status)) = (&mut data, event.data.get("status")) {
                    data.insert("status".to_owned(), status.clone());
                    data.insert("createdBy".to_owned(), json!(self.user));
                }
                data
            }
        };
        Ok(events.iter().map(|event| News { seq: event.seq, kind: event.kind, data: data(event) }).collect())
    }
}
