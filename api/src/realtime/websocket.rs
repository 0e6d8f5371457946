//! `/ws`: a user's events as JSON messages `{seq, type, data}`.
//!
//! `rocket_ws` does the handshake. The frames are left to a newer `tokio-tungstenite` than the one in it, which
//! lets the read buffer be small: that is half of what an open socket takes.

use std::pin::Pin;
use std::time::Duration;

use rocket::data::{IoHandler, IoStream};
use rocket::futures::{SinkExt, StreamExt};
use rocket::outcome::try_outcome;
use rocket::request::{FromRequest, Outcome};
use rocket::response::{self, Responder, Response};
use rocket::{Request, Shutdown, State, get};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::admission::Knock;
use super::feed::{Feed, Live, Revoked, SocketKind, Told, count_end};
use super::sessions::Sessions;
use crate::auth::tickets::SocketHolder;
use crate::catchers::{Refused, refuse};
use crate::error::ApiError;
use crate::openapi::problems::{Limits, Parameters, Problems, SignedIn, errors};
use crate::query::NamedOnce;

/// Clients have nothing to say here; what is larger ends the connection.
const MAX_MESSAGE_BYTES: usize = 1024;
const READ_BUFFER_BYTES: usize = 256;
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

type Stream = WebSocketStream<IoStream>;

errors! {
    /// A socket may not be opened.
    Opening:
        ApiError::TicketInvalid,
        ApiError::OriginNotAllowed,
        ApiError::TooManySockets(20),
        ApiError::TooManyConnects(10),
}

/// Open a WebSocket of your events
///
/// `since` is the last number that the client has: what came after it is sent first. Without it, the socket begins
/// with what happens from now on. The messages are in docs/live-status.md.
#[utoipa::path(
    get,
    path = "/ws",
    tag = "orders",
    operation_id = "openSocket",
    security(("token" = []), ()),
    params(
        ("since" = Option<i64>, Query, minimum = 0, description = "The last number that the client has"),
        ("ticket" = Option<String>, Query, description = "Of POST /auth/ws-ticket, for who cannot send a token")
    ),
    responses((status = 101, description = "The socket is open"), Problems<(SignedIn, Limits, Parameters, Opening)>)
)]
#[get("/ws")]
pub(crate) async fn open(
    socket: rocket_ws::WebSocket,
    _knock: Knock,
    holder: SocketHolder,
    since: Since,
    live: &State<Live>,
    sessions: &State<Sessions>,
    shutdown: Shutdown,
) -> Result<Opened, ApiError> {
    let feed = live.open(SocketKind::WebSocket, holder.0, since.0).await?;
    Ok(Opened { accept_key: socket.accept_key().to_owned(), feed, sessions: sessions.inner().clone(), shutdown })
}

/// The last number that the client has, if it says one.
pub(crate) struct Since(Option<i64>);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Since {
    type Error = Refused;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Refused> {
        try_outcome!(request.guard::<NamedOnce>().await);
        let given = request.query_value::<&str>("since");
        match given.map(|text| text.ok().and_then(|text| text.parse().ok()).filter(|number| *number >= 0)) {
            None => Outcome::Success(Self(None)),
            Some(Some(number)) => Outcome::Success(Self(Some(number))),
            Some(None) => {
                let problem = "it must be a whole number".to_owned();
                refuse(request, ApiError::InvalidParameter { parameter: "since", problem })
            }
        }
    }
}

/// A socket whose handshake is good.
pub(crate) struct Opened {
    accept_key: String,
    feed: Feed,
    sessions: Sessions,
    shutdown: Shutdown,
}

impl<'r> Responder<'r, 'static> for Opened {
    fn respond_to(self, _: &'r Request<'_>) -> response::Result<'static> {
        let mut response = Response::build();
        response
            .raw_header("Sec-WebSocket-Version", "13")
            .raw_header("Sec-WebSocket-Accept", self.accept_key.clone())
            .upgrade("websocket", self);
        response.ok()
    }
}

#[rocket::async_trait]
impl IoHandler for Opened {
    async fn io(self: Pin<Box<Self>>, stream: IoStream) -> std::io::Result<()> {
        let Self { feed, sessions, shutdown, .. } = *Pin::into_inner(self);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let stream = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        sessions.start(run(feed, stream, shutdown));
        Ok(())
    }
}

async fn run(feed: Feed, mut stream: Stream, shutdown: Shutdown) {
    let expires = feed.expires;
    // Whatever is being sent then is left: frames are buffered whole, so the last words follow the last frame.
    let End(code, reason) = tokio::select! {
        end = serve(feed, &mut stream) => end,
        () = sleep_until(expires) => End(CloseCode::Library(4401), "token_expired"),
        () = shutdown => End(CloseCode::Restart, "server_restarts"),
    };
    count_end(SocketKind::WebSocket, reason);
    let frame = CloseFrame { code, reason: reason.into() };
    // The other side may be gone already.
    let _ = timeout(CLOSE_LIMIT, stream.close(Some(frame))).await;
}

async fn serve(mut feed: Feed, stream: &mut Stream) -> End {
    let mut heard = true;
    let mut heartbeat = Instant::now() + HEARTBEAT;
    loop {
        let sent = tokio::select! {
            // In this order: a sign of life that came while something was sent counts.
            biased;
            message = stream.next() => match message {
                Some(Ok(Message::Close(_))) | None => return LEFT,
                Some(Ok(_)) => { heard = true; Ok(()) }
                Some(Err(Error::Capacity(_) | Error::Utf8(_))) => return End(CloseCode::Protocol, "bad_message"),
                Some(Err(Error::Protocol(error))) if error != ProtocolError::ResetWithoutClosingHandshake => {
                    return End(CloseCode::Protocol, "bad_message");
                }
                Some(Err(_)) => return LEFT,
            },
            () = sleep_until(heartbeat) => {
                if !heard {
                    return End(CloseCode::Away, "no_sign_of_life");
                }
                heard = false;
                heartbeat = Instant::now() + HEARTBEAT;
                send(stream, Message::Ping(Bytes::new()), feed.slow_reader()).await
            },
            signal = feed.signal() => match feed.take(signal).await {
                Ok(told) => send_all(stream, told, &feed).await,
                Err(revoked) => return revoked.into(),
            },
        };
        if let Err(end) = sent {
            return end;
        }
    }
}

async fn send_all(stream: &mut Stream, told: Vec<Told>, feed: &Feed) -> Result<(), End> {
    for told in told {
        feed.check_token()?;
        match told {
            Told::News(news) => {
                let (seq, kind, data) = (news.seq, news.kind.as_str(), news.data.get());
                let text = format!(r#"{{"seq":{seq},"type":"{kind}","data":{data}}}"#);
                send(stream, Message::text(text), feed.slow_reader()).await?;
                feed.event_taken();
            }
            Told::Resync(seq) => {
                let text = format!(r#"{{"seq":{seq},"type":"resync"}}"#);
                send(stream, Message::text(text), feed.slow_reader()).await?;
                feed.resync_taken();
            }
        }
    }
    Ok(())
}

async fn send(stream: &mut Stream, message: Message, patience: Duration) -> Result<(), End> {
    match timeout(patience, stream.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(LEFT),
        Err(_) => Err(End(CloseCode::Policy, "slow_reader")),
    }
}
