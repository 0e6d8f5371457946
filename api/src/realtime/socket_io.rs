//! Socket.IO: the namespaces `/orders` and `/payment`, event `status`.
//!
//! The protocol is socketioxide's; the [`door`](super::door) puts it on Rocket's port.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rocket::fairing::AdHoc;
use serde::{Deserialize, Serialize};
use shop_common::events::EventKind;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::{SendError, SocketError, SocketIo};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::door::{MAX_MESSAGE_BYTES, PATH, Server};
use super::feed::{Feed, Live, Revoked, SocketKind, Told, count_end};
use crate::auth::guard::{Caller, bearer};
use crate::auth::tokens::Tokens;
use crate::error::ApiError;
use crate::rate_limit::{Connects, RateLimits};

/// How often a reader is tried that takes nothing at the moment.
const SLOW_PAUSE: Duration = Duration::from_millis(100);
/// How long a client may take to hear why it is disconnected.
const PARTING: Duration = Duration::from_secs(60);
/// The reason of who went by itself.
const LEFT: &str = "left";
/// Packets that wait for a reader that is slow.
const WAITING_PACKETS: usize = 64;
/// Read at once, for each connection; clients send hardly more than a token.
const READ_BUFFER_BYTES: usize = 1024;
/// How long a connection may stay before it has joined a namespace, which it may have to wait for (`admission.rs`).
const JOIN_LIMIT: Duration = Duration::from_secs(20);

/// What a client may send with its connect packet.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Auth {
    pub(crate) token: Option<String>,
    pub(crate) since: Option<i64>,
}

/// What the handlers of both namespaces share.
#[derive(Clone)]
struct Shared {
    live: Live,
    tokens: Tokens,
    limits: RateLimits,
}

/// A feed on its way from the middleware that admits a socket to the handler of the socket.
type Handover = Arc<Mutex<Option<Feed>>>;

/// Starts the server with Rocket, and closes its sockets with it.
pub(crate) fn fairing() -> AdHoc {
    AdHoc::try_on_ignite("Socket.IO", |rocket| async {
        let (Some(live), Some(tokens), Some(limits)) =
            (rocket.state::<Live>(), rocket.state::<Tokens>(), rocket.state::<RateLimits>())
        else {
            return Err(rocket);
        };
        let shared = Shared { live: live.clone(), tokens: tokens.clone(), limits: limits.clone() };
        let (service, io) = SocketIo::builder()
            .req_path(PATH)
            .max_payload(MAX_MESSAGE_BYTES)
            .ws_max_message_size(MAX_MESSAGE_BYTES as usize)
            .ws_max_frame_size(MAX_MESSAGE_BYTES as usize)
            .max_buffer_size(WAITING_PACKETS)
            .ws_read_buffer_size(READ_BUFFER_BYTES)
            .connect_timeout(JOIN_LIMIT)
            .build_svc();
        namespace(&io, "/orders", EventKind::OrderStatus, &shared);
        namespace(&io, "/payment", EventKind::PaymentStatus, &shared);
        let closing = AdHoc::on_shutdown("Socket.IO", |_| Box::pin(async move { io.close().await }));
        // Longer than the sockets on it wait, which have a reason to give.
        let patience = 2 * shared.live.slow_reader;
        Ok(rocket.manage(Server::new(service, patience)).attach(closing))
    })
}

fn namespace(io: &SocketIo, path: &'static str, kind: EventKind, shared: &Shared) {
    let shared = shared.clone();
    // The feed begins before the client hears that it is connected: what happens from then on is pushed.
    let admit = move |socket: SocketRef, TryData(auth): TryData<Option<Auth>>| {
        let shared = shared.clone();
        async move {
            let auth = auth
                .map(Option::unwrap_or_default)
                .map_err(|error| ApiError::InvalidParameter { parameter: "auth", problem: error.to_string() });
            let feed = match auth {
                Ok(auth) => shared.admit(&socket, auth).await,
                Err(error) => Err(error),
            };
            let feed = feed.map_err(|error| {
                error.count();
                if let ApiError::Internal(cause) = &error {
                    tracing::error!(cause, "a socket could not be opened");
                }
                error.code()
            })?;
            socket.extensions.insert::<Handover>(Arc::new(Mutex::new(Some(feed))));
            Ok::<(), &'static str>(())
        }
    };
    let follow = move |socket: SocketRef| async move {
        let handed_over = socket.extensions.remove::<Handover>();
        let feed = handed_over.and_then(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(feed) = feed else { return };
        let gone = CancellationToken::new();
        let on_gone = gone.clone();
        socket.on_disconnect(async move || on_gone.cancel());
        // Who left before that has told nobody.
        if !socket.connected() {
            return;
        }
        tokio::spawn(follow(socket, feed, kind, gone));
    };
    io.ns(path, follow.with(admit));
}

impl Shared {
    /// Who connects: the token of `auth: {token}`, or of the `Authorization` header.
    async fn admit(&self, socket: &SocketRef, auth: Auth) -> Result<Feed, ApiError> {
        let header = socket.req_parts().headers.get("authorization").and_then(|value| value.to_str().ok());
        let token = auth.token.as_deref().or(header.and_then(bearer)).ok_or(ApiError::TokenMissing)?;
        let caller = Caller::with_token(&self.tokens, &self.live.revocations, token).await?;
        self.limits.check::<Connects>(&caller.id.to_string()).await?;
        if auth.since.is_some_and(|since| since < 0) {
            let problem = "it must be a whole number, 0 or more".to_owned();
            return Err(ApiError::InvalidParameter { parameter: "since", problem });
        }
        self.live.open(SocketKind::SocketIo, caller.holder, auth.since).await
    }
}

/// Pushes the user's events of one kind until the socket is gone.
async fn follow(socket: SocketRef, feed: Feed, kind: EventKind, gone: CancellationToken) {
    let expires = feed.expires;
    let reason = tokio::select! {
        () = gone.cancelled() => LEFT,
        () = sleep_until(expires) => "token_expired",
        reason = push(&socket, feed, kind) => reason,
    };
    count_end(SocketKind::SocketIo, reason);
    tokio::select! {
        () = gone.cancelled() => {}
        () = part(&socket, reason) => {}
    }
}

/// Tells the client why, and disconnects it. One that takes nothing has no room for that at first: either it
/// takes something, or its connection breaks.
async fn part(socket: &SocketRef, reason: &'static str) {
    emit(socket, "error", &reason, PARTING).await;
    while let Err(SocketError::InternalChannelFull) = socket.clone().disconnect() {
        sleep(SLOW_PAUSE).await;
    }
}

/// Pushes for ever; gives the reason when the client takes nothing, is gone, or may not hear more.
async fn push(socket: &SocketRef, mut feed: Feed, kind: EventKind) -> &'static str {
    let patience = feed.slow_reader();
    loop {
        let signal = feed.signal().await;
        let told = match feed.take(signal).await {
            Ok(told) => told,
            Err(Revoked) => return "token_revoked",
        };
        for told in told {
            let (taken, is_event) = match told {
                // The number comes as a second argument, which clients that do not know of it pass over.
                Told::News(news) if news.kind == kind => {
                    (emit(socket, "status", &(&news.data, news.seq), patience).await, true)
                }
                Told::News(_) => continue,
                Told::Resync(seq) => (emit(socket, "resync", &seq, patience).await, false),
            };
            match taken {
                Taken::Yes if is_event => feed.event_taken(),
                Taken::Yes => feed.resync_taken(),
                Taken::No => return "slow_reader",
                Taken::Gone => return LEFT,
            }
            if feed.check_token().is_err() {
                return "token_revoked";
            }
        }
    }
}

/// What became of an event.
enum Taken {
    Yes,
    /// The client did not take what came before it.
    No,
    Gone,
}

/// Hands an event to the client, waiting a while for one that is slow.
async fn emit<T: Serialize + Sync>(socket: &SocketRef, event: &'static str, data: &T, patience: Duration) -> Taken {
    let deadline = Instant::now() + patience;
    loop {
        match socket.emit(event, data) {
            Ok(()) => return Taken::Yes,
            Err(SendError::Socket(SocketError::InternalChannelFull)) if Instant::now() < deadline => {
                sleep(SLOW_PAUSE).await
            }
            Err(SendError::Socket(SocketError::InternalChannelFull)) => return Taken::No,
            Err(_) => return Taken::Gone,
        }
    }
}
