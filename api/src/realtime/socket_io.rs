//! Socket.IO: the namespaces `/orders` and `/payment`, event `status`.
//!
//! The protocol is socketioxide's; the [`door`](super::door) puts it on Rocket's port.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rocket::fairing::AdHoc;
use rocket_db_pools::Database;
use serde::Deserialize;
use shop_common::events::EventKind;
use socketioxide::SocketIo;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::{SendError, SocketError};
use sqlx::PgPool;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::door::{MAX_MESSAGE_BYTES, PATH, Server};
use super::feed::{Feed, PAGE, Start};
use super::hub::{Hub, Seat};
use crate::auth::tokens::{Claims, Tokens};
use crate::db::Db;
use crate::error::ApiError;

/// How long a reader that takes nothing is waited for, and how often it is tried.
const SLOW_LIMIT: Duration = Duration::from_secs(10);
const SLOW_PAUSE: Duration = Duration::from_millis(100);
/// How long to wait before the table is read again after PostgreSQL did not answer.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// What a client may send with its connect packet.
#[derive(Debug, Default, Deserialize)]
struct Auth {
    token: Option<String>,
    since: Option<i64>,
}

/// What the handlers of both namespaces share.
#[derive(Clone)]
struct Shared {
    pool: PgPool,
    hub: Hub,
    tokens: Tokens,
}

/// Starts the server with Rocket, and closes its sockets with it.
pub(crate) fn fairing() -> AdHoc {
    AdHoc::try_on_ignite("Socket.IO", |rocket| async {
        let (Some(db), Some(hub), Some(tokens)) = (Db::fetch(&rocket), rocket.state::<Hub>(), rocket.state::<Tokens>())
        else {
            return Err(rocket);
        };
        let shared = Shared { pool: db.pool().clone(), hub: hub.clone(), tokens: tokens.clone() };
        let (service, io) = SocketIo::builder()
            .req_path(PATH)
            .max_payload(MAX_MESSAGE_BYTES)
            .ws_max_message_size(MAX_MESSAGE_BYTES as usize)
            .build_svc();
        namespace(&io, "/orders", EventKind::OrderStatus, &shared);
        namespace(&io, "/payment", EventKind::PaymentStatus, &shared);
        let closing = AdHoc::on_shutdown("Socket.IO", |_| Box::pin(async move { io.close().await }));
        Ok(rocket.manage(Server::new(service)).attach(closing))
    })
}

fn namespace(io: &SocketIo, path: &'static str, kind: EventKind, shared: &Shared) {
    let shared = shared.clone();
    // The feed begins before the client hears that it is connected: what happens from then on is pushed.
    let admit = move |socket: SocketRef, TryData(auth): TryData<Option<Auth>>| {
        let shared = shared.clone();
        async move {
            let admitted = shared.admit(&socket, auth.ok().flatten().unwrap_or_default()).await?;
            socket.extensions.insert(Arc::new(Mutex::new(Some(admitted))));
            Ok::<(), String>(())
        }
    };
    let follow = move |socket: SocketRef| async move {
        let handed_over = socket.extensions.remove::<Arc<Mutex<Option<Admitted>>>>();
        let admitted = handed_over.and_then(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(admitted) = admitted else { return };
        let gone = CancellationToken::new();
        let on_gone = gone.clone();
        socket.on_disconnect(async move || on_gone.cancel());
        tokio::spawn(admitted.follow(socket, kind, gone));
    };
    io.ns(path, follow.with(admit));
}

/// Who connects, and from where on their events are pushed.
struct Admitted {
    claims: Claims,
    seat: Seat,
    start: Start,
}

impl Shared {
    async fn admit(&self, socket: &SocketRef, auth: Auth) -> Result<Admitted, String> {
        let claims = self.claims(socket, &auth).map_err(|error| error.to_string())?;
        let seat = self.hub.join(claims.sub).ok_or("too many sockets of this user are open")?;
        let since = auth.since.filter(|since| *since >= 0);
        match Feed::start(self.pool.clone(), claims.sub, since).await {
            Ok(start) => Ok(Admitted { claims, seat, start }),
            Err(error) => {
                tracing::warn!(%error, "cannot read events");
                Err("the shop is busy, connect again".to_owned())
            }
        }
    }

    /// Who connects: the token of the `Authorization` header, or of `auth: {token}`.
    fn claims(&self, socket: &SocketRef, auth: &Auth) -> Result<Claims, ApiError> {
        let header = socket.req_parts().headers.get("authorization").and_then(|value| value.to_str().ok());
        let bearer =
            header.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = auth.token.as_deref().or(bearer.map(|(_, token)| token.trim())).ok_or(ApiError::TokenMissing)?;
        self.tokens.check(token)
    }
}

impl Admitted {
    /// Pushes the user's events of one kind until the socket is gone.
    async fn follow(self, socket: SocketRef, kind: EventKind, gone: CancellationToken) {
        let feed = match self.start {
            Start::At(feed) => feed,
            Start::Afresh(feed) => {
                // A client that hears of it looks at GET /orders; others lose nothing by it.
                let _ = socket.emit("resync", &feed.position);
                feed
            }
        };
        let expires = Instant::now() + self.claims.expires_in();
        tokio::select! {
            () = gone.cancelled() => {}
            () = sleep_until(expires) => refuse(&socket, "the token has expired"),
            reason = push(&socket, feed, self.seat, kind) => refuse(&socket, reason),
        }
    }
}

/// Tells the client why, and disconnects it.
fn refuse(socket: &SocketRef, reason: &str) {
    // The client may be gone already; there is nobody to tell then.
    let _ = socket.emit("error", reason);
    let _ = socket.clone().disconnect();
}

/// Pushes for ever; gives the reason when the client takes nothing.
async fn push(socket: &SocketRef, mut feed: Feed, mut seat: Seat, kind: EventKind) -> &'static str {
    loop {
        match feed.read().await {
            Ok(page) => {
                let more = page.len() == PAGE;
                for news in page {
                    if news.kind == kind && !emit(socket, &(news.data, news.seq)).await {
                        return "too slow a reader";
                    }
                    feed.position = news.seq;
                }
                if !more {
                    seat.news().await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read events, trying again");
                sleep(READ_AGAIN).await;
            }
        }
    }
}

/// Hands a `status` to the client, waiting a while for one that is slow. The number comes as
/// a second argument, which clients that do not know of it pass over.
async fn emit(socket: &SocketRef, status: &(serde_json::Value, i64)) -> bool {
    let deadline = Instant::now() + SLOW_LIMIT;
    loop {
        match socket.emit("status", status) {
            Ok(()) => return true,
            Err(SendError::Socket(SocketError::InternalChannelFull)) if Instant::now() < deadline => {
                sleep(SLOW_PAUSE).await
            }
            Err(_) => return false,
        }
    }
}
