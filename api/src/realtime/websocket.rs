//! `/ws`: a user's events as JSON messages `{seq, type, data}`.

use std::time::Duration;

use rocket::futures::{SinkExt, StreamExt};
use rocket::{Shutdown, State, get};
use rocket_ws::frame::{CloseCode, CloseFrame};
use rocket_ws::stream::DuplexStream;
use rocket_ws::{Channel, Config, Message, WebSocket};
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};

use super::feed::{Feed, News, PAGE, Start};
use super::hub::{Hub, SOCKETS_PER_USER, Seat};
use crate::auth::guard::Caller;
use crate::db::Db;
use crate::error::ApiError;

/// Clients have nothing to say here; what is larger ends the connection.
const MAX_MESSAGE_BYTES: usize = 1024;
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
    let seat = hub.join(caller.id).ok_or(ApiError::TooManySockets(SOCKETS_PER_USER))?;
    let (feed, resync) = match Feed::start(db.pool().clone(), caller.id, since).await? {
        Start::At(feed) => (feed, false),
        Start::Afresh(feed) => (feed, true),
    };
    let session = Session { feed, resync, expires: Instant::now() + caller.expires_in };
    let config = Config { max_message_size: Some(MAX_MESSAGE_BYTES), ..Config::default() };
    Ok(socket.config(config).channel(move |stream| {
        Box::pin(async move {
            session.run(stream, seat, shutdown).await;
            Ok(())
        })
    }))
}

struct Session {
    feed: Feed,
    resync: bool,
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
        if self.resync {
            let resync = json!({ "seq": self.feed.position, "type": "resync" });
            if let Err(end) = send(stream, Message::Text(resync.to_string())).await {
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
            let page = match self.feed.read().await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "cannot read events, trying again");
                    return Ok(Some(Instant::now() + READ_AGAIN));
                }
            };
            let more = page.len() == PAGE;
            for News { seq, kind, data } in page {
                let message = json!({ "seq": seq, "type": kind.as_str(), "data": data });
                send(stream, Message::Text(message.to_string())).await?;
                self.feed.position = seq;
            }
            if !more {
                return Ok(None);
            }
        }
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
