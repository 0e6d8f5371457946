//! `/ws`: a user's events as JSON messages `{seq, type, data}`.

use std::time::Duration;

use rocket::futures::{SinkExt, StreamExt};
use rocket::{Shutdown, State, get};
use rocket_ws::frame::{CloseCode, CloseFrame};
use rocket_ws::stream::DuplexStream;
use rocket_ws::{Channel, Config, Message, WebSocket};
use serde_json::{Value, json};
use shop_common::events::{self, Event, EventKind};
use shop_common::id::UserId;
use shop_common::orders::queries;
use sqlx::PgPool;
use tokio::time::{Instant, sleep_until, timeout};

use super::hub::{Hub, Seat};
use crate::auth::guard::Caller;
use crate::db::Db;
use crate::error::ApiError;

/// Sockets of one user in one process.
const SOCKETS_PER_USER: usize = 10;
/// Clients have nothing to say here; what is larger ends the connection.
const MAX_MESSAGE_BYTES: usize = 1024;
/// Events that are read at once.
const PAGE: u32 = 100;
/// A reader that takes longer for one message is dropped.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// How often a silent client is asked whether it is there; twice without a word, and it is not.
const HEARTBEAT: Duration = Duration::from_secs(25);
/// How long to wait before the table is read again after PostgreSQL did not answer.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Why a session ends, for the close frame.
struct End(CloseCode, &'static str);

/// Opens a socket. `since` is the last number that the client has: what came after
/// it is sent first. Without it, the socket begins with what happens from now on.
#[get("/ws?<since>")]
pub(crate) async fn open(
    caller: Caller,
    since: Option<&str>,
    socket: WebSocket,
    hub: &State<Hub>,
    db: &Db,
    shutdown: Shutdown,
) -> Result<Channel<'static>, ApiError> {
    let since: Option<i64> =
        since.map(str::parse).transpose().ok().filter(|n| n.is_none_or(|n| n >= 0)).ok_or_else(|| {
            ApiError::InvalidParameter { parameter: "since", problem: "it must be a whole number".to_owned() }
        })?;
    let seat = hub.join(caller.id, SOCKETS_PER_USER).ok_or(ApiError::TooManySockets(SOCKETS_PER_USER))?;
    let last = events::last_numbers(db.pool(), &[caller.id]).await?.first().map_or(0, |(_, last)| *last);
    let session = Session {
        pool: db.pool().clone(),
        user: caller.id,
        position: since.unwrap_or(last),
        // A number that was never given out is from other books.
        resync: since.is_some_and(|since| since > last).then_some(last),
        expires: Instant::now() + caller.expires_in,
    };
    let config = Config { max_message_size: Some(MAX_MESSAGE_BYTES), ..Config::default() };
    Ok(socket.config(config).channel(move |stream| {
        Box::pin(async move {
            session.run(stream, seat, shutdown).await;
            Ok(())
        })
    }))
}

struct Session {
    pool: PgPool,
    user: UserId,
    position: i64,
    resync: Option<i64>,
    expires: Instant,
}

impl Session {
    async fn run(mut self, mut stream: DuplexStream, seat: Seat, shutdown: Shutdown) {
        let End(code, reason) = self.serve(&mut stream, seat, shutdown).await;
        let frame = CloseFrame { code, reason: reason.into() };
        // The other side may be gone already.
        let _ = timeout(SEND_LIMIT, stream.close(Some(frame))).await;
    }

    async fn serve(&mut self, stream: &mut DuplexStream, mut seat: Seat, mut shutdown: Shutdown) -> End {
        if let Some(last) = self.resync.take() {
            self.position = last;
            if let Err(end) = send(stream, Message::Text(json!({ "seq": last, "type": "resync" }).to_string())).await {
                return end;
            }
        }
        let mut heard = true;
        let mut heartbeat = Instant::now() + HEARTBEAT;
        let mut look = Some(Instant::now());
        loop {
            tokio::select! {
                () = wait(look) => match self.deliver(stream).await {
                    Ok(next) => look = next,
                    Err(end) => return end,
                },
                () = seat.news() => look = Some(Instant::now()),
                message = stream.next() => match message {
                    Some(Ok(Message::Close(_))) | None => return End(CloseCode::Normal, ""),
                    Some(Ok(_)) => heard = true,
                    Some(Err(_)) => return End(CloseCode::Protocol, "not a message that this server takes"),
                },
                () = sleep_until(heartbeat) => {
                    if !heard {
                        return End(CloseCode::Away, "no sign of life");
                    }
                    heard = false;
                    heartbeat = Instant::now() + HEARTBEAT;
                    if let Err(end) = send(stream, Message::Ping(Vec::new())).await {
                        return end;
                    }
                },
                () = sleep_until(self.expires) => return End(CloseCode::Library(4401), "the token has expired"),
                () = &mut shutdown => return End(CloseCode::Restart, "the server restarts, connect again"),
            }
        }
    }

    /// Sends what the table has after the position. Says when to look again, if without news.
    async fn deliver(&mut self, stream: &mut DuplexStream) -> Result<Option<Instant>, End> {
        loop {
            let messages = match self.read().await {
                Ok(messages) => messages,
                Err(error) => {
                    tracing::warn!(%error, user = %self.user, "cannot read events, trying again");
                    return Ok(Some(Instant::now() + READ_AGAIN));
                }
            };
            let more = messages.len() == PAGE as usize;
            for (seq, message) in messages {
                send(stream, Message::Text(message.to_string())).await?;
                self.position = seq;
            }
            if !more {
                return Ok(None);
            }
        }
    }

    /// The next events, as they are sent. An order comes whole, as `GET /orders/{id}` gives
    /// it, with the status that it had at the event.
    async fn read(&self) -> Result<Vec<(i64, Value)>, sqlx::Error> {
        let events = events::after(&self.pool, self.user, self.position, PAGE).await?;
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
        let message = |event: &Event| json!({ "seq": event.seq, "type": event.kind.as_str(), "data": data(event) });
        Ok(events.iter().map(|event| (event.seq, message(event))).collect())
    }
}

async fn wait(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

async fn send(stream: &mut DuplexStream, message: Message) -> Result<(), End> {
    match timeout(SEND_LIMIT, stream.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End(CloseCode::Away, "")),
        Err(_) => Err(End(CloseCode::Policy, "too slow a reader")),
    }
}
