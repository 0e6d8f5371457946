//! Events: what happened to a user's orders, numbered per user without gaps.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::AsyncCommands;
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::id::{OrderId, UserId};
use crate::products::changes::Changes;
use crate::redis::Redis;
use crate::time::Timestamp;

/// The channel on which the apis hear whose events there are.
pub const NEWS: &str = "news";

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text")]
pub enum EventKind {
    /// An order moved to another status.
    #[sqlx(rename = "order.status")]
    OrderStatus,
    /// A payment was attempted, or moved to another status.
    #[sqlx(rename = "payment.status")]
    PaymentStatus,
}

impl EventKind {
    /// As the wire and the database say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrderStatus => "order.status",
            Self::PaymentStatus => "payment.status",
        }
    }
}

/// An event that has no number yet.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Whose it is.
    pub user_id: UserId,
    /// What it is about.
    pub order_id: OrderId,
    /// What happened.
    pub kind: EventKind,
    /// The particulars.
    pub data: Value,
}

/// Numbers the events and writes them. Call it last in a transaction: the user's
/// stream is locked from here to the commit, and that is what keeps gaps out.
///
/// # Errors
/// When the database refuses.
pub async fn append(connection: &mut PgConnection, events: &[NewEvent]) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    // Where each stream ends comes as one array, in which an event finds its own by number. Joined, each event would be
    // compared with each user, since nothing indexes what a statement returns.
    sqlx::query(
        "WITH input AS (
             SELECT user_id, order_id, kind, data, (dense_rank() OVER (ORDER BY user_id))::integer AS stream,
                    count(*) OVER same_user - row_number() OVER (same_user ORDER BY n) AS later
             FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[])
                  WITH ORDINALITY AS t (user_id, order_id, kind, data, n)
             WINDOW same_user AS (PARTITION BY user_id)
         ), streams AS (
             INSERT INTO event_streams AS s (user_id, last_seq)
             SELECT user_id, count(*) FROM input GROUP BY user_id ORDER BY user_id
             ON CONFLICT (user_id) DO UPDATE SET last_seq = s.last_seq + excluded.last_seq
             RETURNING user_id, last_seq
         ), ends AS (
             SELECT array_agg(last_seq ORDER BY user_id) AS seqs FROM streams
         )
         INSERT INTO events (user_id, seq, order_id, kind, data)
         SELECT user_id, ends.seqs[stream] - later, order_id, kind, data FROM input CROSS JOIN ends",
    )
    .bind(events.iter().map(|event| event.user_id).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.order_id).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.data.clone()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// An event of the log.
#[derive(Debug, sqlx::FromRow)]
pub struct Event {
    /// Whose it is.
    pub user_id: UserId,
    /// Its number among the user's events.
    pub seq: i64,
    /// What happened.
    pub kind: EventKind,
    /// What it is about.
    pub order_id: OrderId,
    /// The particulars.
    pub data: Json<Box<RawValue>>,
    /// When.
    pub created_at: Timestamp,
}

impl Event {
    /// Where it is in the log of all users.
    pub fn place(&self) -> Place {
        Place { time: self.created_at, user_id: self.user_id, seq: self.seq }
    }
}

/// The events of each user after a number, oldest first, and so many of each at most.
///
/// # Errors
/// When the database refuses.
pub async fn after(
    connection: &mut PgConnection,
    positions: &[(UserId, i64)],
    limit: u32,
) -> Result<Vec<Event>, sqlx::Error> {
    let (users, numbers): (Vec<UserId>, Vec<i64>) = positions.iter().copied().unzip();
    sqlx::query_as(
        "SELECT e.user_id, e.seq, e.kind, e.order_id, e.data, e.created_at
         FROM unnest($1::uuid[], $2::bigint[]) AS p (user_id, seq)
         CROSS JOIN LATERAL (
             SELECT * FROM events WHERE user_id = p.user_id AND seq > p.seq ORDER BY seq LIMIT $3
         ) AS e
         ORDER BY e.user_id, e.seq",
    )
    .bind(users)
    .bind(numbers)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await
}

/// A place in the log of all users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// When.
    pub time: Timestamp,
    /// Whose event, of those of that time.
    pub user_id: UserId,
    /// Which one.
    pub seq: i64,
}

impl Place {
    /// Before everything that happened at that time.
    pub fn at(time: Timestamp) -> Self {
        Self { time, user_id: UserId(Uuid::nil()), seq: 0 }
    }
}

/// All users' events after a place, oldest first, and so many at most. The time of an event is when its
/// transaction began, so that one can appear before others that are there already; [`settled_until`] says how far back.
///
/// # Errors
/// When the database refuses.
pub async fn of_all(connection: &mut PgConnection, after: Place, limit: u32) -> Result<Vec<Event>, sqlx::Error> {
    sqlx::query_as(
        "SELECT user_id, seq, kind, order_id, data, created_at FROM events
         WHERE (created_at, user_id, seq) > ($1, $2, $3) ORDER BY created_at, user_id, seq LIMIT $4",
    )
    .bind(after.time)
    .bind(after.user_id)
    .bind(after.seq)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await
}

/// A time before which no more events appear: a second before the oldest transaction began that has not ended. (A
/// transaction is seen here a moment later than it takes its time.) Those that have written nothing for a minute do not
/// count, and ten minutes ago is the earliest: the shop's own transactions write at once, and end within their time limits.
///
/// All programs of a shop have to be one role, or members of `pg_read_all_stats`: PostgreSQL hides the sessions of others.
///
/// # Errors
/// When the database refuses.
pub async fn settled_until(connection: &mut PgConnection) -> Result<Timestamp, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT greatest(least(min(xact_start), now()) - interval '1 second', now() - interval '10 minutes')
         FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()
           AND (backend_xid IS NOT NULL OR xact_start > now() - interval '1 minute')",
    )
    .fetch_one(connection)
    .await
}

/// Forgets events that are older than that, so many at most, and gives how many they were. Who has not
/// seen them is told to start afresh. Any number of workers may do it at once.
///
/// # Errors
/// When the database refuses.
pub async fn forget(pool: &PgPool, age: Duration, limit: u32) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query(
        "DELETE FROM events WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM events WHERE created_at < now() - make_interval(secs => $1::double precision)
             ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    )
    .bind(age.as_secs_f64())
    .bind(i64::from(limit))
    .execute(pool)
    .await?;
    Ok(gone.rows_affected())
}

/// The number of a user's last event; 0 without any.
///
/// # Errors
/// When the database refuses.
pub async fn last_number(connection: &mut PgConnection, user: UserId) -> Result<i64, sqlx::Error> {
    let last: Option<i64> = sqlx::query_scalar("SELECT last_seq FROM event_streams WHERE user_id = $1")
        .bind(user)
        .fetch_optional(connection)
        .await?;
    Ok(last.unwrap_or(0))
}

/// Who has had events since a time, and the number of the last of these.
///
/// # Errors
/// When the database refuses.
pub async fn touched_since(connection: &mut PgConnection, time: Timestamp) -> Result<Vec<(UserId, i64)>, sqlx::Error> {
    sqlx::query_as("SELECT user_id, max(seq) FROM events WHERE created_at >= $1 GROUP BY user_id")
        .bind(time)
        .fetch_all(connection)
        .await
}

/// Tells all apis whose events there are, and which products an order has changed.
#[derive(Clone)]
pub struct Announcer {
    redis: Redis,
    /// Who hears of products.
    pub products: Changes,
}

impl Announcer {
    /// An announcer over that Redis.
    pub fn new(redis: Redis) -> Self {
        Self { products: Changes::new(redis.clone()), redis }
    }

    /// The same in a process that has copies of products.
    #[must_use]
    pub fn telling(self, products: Changes) -> Self {
        Self { products, ..self }
    }

    /// Tells, after the commit and without making anybody wait. What is lost here is
    /// only late: the apis look at the table now and then.
    pub fn announce(&self, events: &[NewEvent]) {
        let users: BTreeSet<UserId> = events.iter().map(|event| event.user_id).collect();
        if users.is_empty() {
            return;
        }
        let message = users.iter().map(UserId::to_string).collect::<Vec<_>>().join(" ");
        let redis = self.redis.clone();
        tokio::spawn(async move {
            let published: redis::RedisResult<()> = redis.connection().publish(redis.key(NEWS), message).await;
            if let Err(error) = published {
                tracing::debug!(%error, "Redis did not take the news");
            }
        });
    }
}

/// Reads what [`Announcer`] publishes. What is no user is passed over.
pub fn announced(message: &[u8]) -> impl Iterator<Item = UserId> + '_ {
    message.split(|byte| *byte == b' ').filter_map(|id| std::str::from_utf8(id).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_is_understood_and_noise_is_passed_over() {
        let (ada, bob) = (UserId::new(), UserId::new());
        let message = format!("{ada} noise {bob}");
        assert_eq!(announced(message.as_bytes()).collect::<Vec<_>>(), [ada, bob]);
    }
}
