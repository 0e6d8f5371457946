//! `/ws`: a user's events as JSON messages `{seq, type, data}`.

use std::time::Duration;

use rocket::futures::{SinkExt, StreamExt};
use rocket::{Shutdown, State, get};
use rocket_ws::frame::{CloseCode, CloseFrame};
use rocket_ws::stream::DuplexStream;
use rocket_ws::{Channel, Config, Message, WebSocket};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep_until, timeout};

use super::admission::Admitted;
use super::feed::{Feed, Live, Revoked, Told, count_end};
use super::sessions::Sessions;
use crate::auth::tickets::SocketHolder;
use crate::error::ApiError;

/// Clients have nothing to say here; what is larger ends the connection.
const MAX_MESSAGE_BYTES: usize = 1024;
/// How long a client may take to close its side.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);
/// How often a silent client is asked whether it is there; twice without a word, and it is not.
const HEARTBEAT: Duration = Duration::from_secs(25);

/// Why a session ends, for the close frame.
struct End(CloseCode, &'static str);

const LEFT: End = End(CloseCode::Normal, "left");

impl From<Revoked> for End {
    fn from(_: Revoked) -> Self {
        Self(CloseCode::Library(4401), "token_revoked")
    }
}

/// A message as the client reads it.
#[derive(Serialize)]
struct Envelope<'a> {
    seq: i64,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

/// Opens a socket. `since` is the last number that the client has: what came after
/// it is sent first. Without it, the socket begins with what happens from now on.
#[get("/ws?<since>")]
pub(crate) async fn open(
    socket: WebSocket,
    _admitted: Admitted,
    holder: SocketHolder,
    since: Option<&str>,
    live: &State<Live>,
    sessions: &State<Sessions>,
    shutdown: Shutdown,
) -> Result<Channel<'static>, ApiError> {
    let since: Option<i64> =
        since.map(str::parse).transpose().ok().filter(|n| n.is_none_or(|n| n >= 0)).ok_or_else(|| {
            ApiError::InvalidParameter { parameter: "since", problem: "it must be a whole number".to_owned() }
        })?;
    let feed = live.open(holder.0, since).await?;
    let config = Config { max_message_size: Some(MAX_MESSAGE_BYTES), ..Config::default() };
    let sessions = sessions.inner().clone();
    Ok(socket.config(config).channel(move |stream| {
        sessions.start(run(feed, stream, shutdown));
        Box::pin(async { Ok(()) })
    }))
}

async fn run(feed: Feed, mut stream: DuplexStream, shutdown: Shutdown) {
    let End(code, reason) = serve(feed, &mut stream, shutdown).await;
    count_end(reason);
    let frame = CloseFrame { code, reason: reason.into() };
    // The other side may be gone already.
    let _ = timeout(CLOSE_LIMIT, stream.close(Some(frame))).await;
}

async fn serve(mut feed: Feed, stream: &mut DuplexStream, mut shutdown: Shutdown) -> End {
    let mut heard = true;
    let mut heartbeat = Instant::now() + HEARTBEAT;
    let (expires, patience) = (feed.expires, feed.slow_reader());
    loop {
        let sent = tokio::select! {
            signal = feed.signal() => match feed.take(signal).await {
                Ok(told) => send_all(stream, told, patience).await,
                Err(revoked) => return revoked.into(),
            },
            message = stream.next() => match message {
                Some(Ok(Message::Close(_))) | None => return LEFT,
                Some(Ok(_)) => { heard = true; Ok(()) }
                Some(Err(_)) => return End(CloseCode::Protocol, "bad_message"),
            },
            () = sleep_until(heartbeat) => {
                if !heard {
                    return End(CloseCode::Away, "no_sign_of_life");
                }
                heard = false;
                heartbeat = Instant::now() + HEARTBEAT;
                send(stream, Message::Ping(Vec::new()), patience).await
            },
            () = sleep_until(expires) => return End(CloseCode::Library(4401), "token_expired"),
            () = &mut shutdown => return End(CloseCode::Restart, "server_restarts"),
        };
        if let Err(end) = sent {
            return end;
        }
    }
}

async fn send_all(stream: &mut DuplexStream, told: Vec<Told>, patience: Duration) -> Result<(), End> {
    for told in told {
        let envelope = match &told {
            Told::News(news) => Envelope { seq: news.seq, r#type: news.kind.as_str(), data: Some(&news.data) },
            Told::Resync(seq) => Envelope { seq: *seq, r#type: "resync", data: None },
        };
        let Ok(text) = serde_json::to_string(&envelope) else { continue };
        send(stream, Message::Text(text), patience).await?;
    }
    Ok(())
}

async fn send(stream: &mut DuplexStream, message: Message, patience: Duration) -> Result<(), End> {
    match timeout(patience, stream.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(LEFT),
        Err(_) => Err(End(CloseCode::Policy, "slow_reader")),
    }
}
