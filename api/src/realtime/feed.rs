//! A feed: a user's events after a position, as one socket sends them.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use metrics::{Counter, Gauge};
use shop_common::orders::news::{self, News};
use shop_common::users::tickets::Holder;
use shop_common::{config, events};
use sqlx::PgPool;
use tokio::time::{Instant, sleep_until, timeout};

use super::admission::Turnstile;
use super::hub::{Hub, Seat, Signal};
use crate::auth::revocation::Revocations;
use crate::error::ApiError;

/// Events that are read at once; each may have a whole order in it.
pub(super) const PAGE: u32 = 20;
/// How long the table may take to answer.
const READ_LIMIT: Duration = Duration::from_secs(10);
/// How long to wait before the table is read again after PostgreSQL did not answer.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// How a socket is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SocketKind {
    /// `/ws`.
    WebSocket,
    /// Each namespace of Socket.IO.
    SocketIo,
}

/// What all feeds of a process share.
#[derive(Clone)]
pub(crate) struct Live {
    pub(super) pool: PgPool,
    pub(super) hub: Hub,
    pub(super) revocations: Revocations,
    turnstile: Arc<Turnstile>,
    /// How long a reader may take for one message.
    pub(super) slow_reader: Duration,
}

/// Where a socket is in its user's events.
pub(super) struct Feed {
    live: Live,
    holder: Holder,
    seat: Seat,
    /// The number of the last event that was sent.
    position: i64,
    /// When the table is to be read without being asked to.
    look: Option<Instant>,
    /// The position is from other books, or too old.
    lost: bool,
    /// When the token expires.
    pub(super) expires: Instant,
    counted: Counted,
}

/// A socket that is open, as it is counted.
struct Counted {
    open: Gauge,
    events: Counter,
    resyncs: Counter,
}

/// What a socket sends.
pub(super) enum Told {
    News(Arc<News>),
    /// What the client has seen and what there is do not join: it has to look at its orders. From that number on it is told all.
    Resync(i64),
}

/// The token was revoked.
pub(super) struct Revoked;

impl Live {
    pub(crate) fn new(pool: PgPool, hub: Hub, revocations: Revocations, settings: &config::Live) -> Self {
        Self {
            pool,
            hub,
            revocations,
            turnstile: Arc::new(Turnstile::new(settings.connects_per_second)),
            slow_reader: Duration::from_millis(settings.slow_reader_ms),
        }
    }

    /// Opens the feed of who holds the token, after `since` or from now on, when it is its turn.
    pub(super) async fn open(&self, kind: SocketKind, holder: Holder, since: Option<i64>) -> Result<Feed, ApiError> {
        self.turnstile.pass().await?;
        let seat = self.hub.join(holder.user_id).map_err(ApiError::TooManySockets)?;
        let last = async { events::last_number(&mut *self.pool.acquire().await?, holder.user_id).await };
        let last = timeout(READ_LIMIT, last).await.map_err(|_| ApiError::Unavailable)??;
        seat.begin(last);
        let lifetime = (holder.token_expires_at - Utc::now()).to_std().unwrap_or_default();
        Ok(Feed {
            live: self.clone(),
            holder,
            seat,
            position: since.unwrap_or(last).min(last),
            // What came between the look at the last number and the beginning was handed to nobody.
            look: Some(Instant::now()),
            lost: since.is_some_and(|since| since > last),
            expires: Instant::now() + lifetime,
            counted: Counted::new(kind),
        })
    }
}

/// Counts that a socket ended, by the reason.
pub(super) fn count_end(kind: SocketKind, reason: &'static str) {
    metrics::counter!("shop_live_sockets_ended_total", "kind" => kind.as_str(), "reason" => reason).increment(1);
}

impl SocketKind {
    /// As metrics have it.
    fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::SocketIo => "socket_io",
        }
    }
}

impl Counted {
    fn new(kind: SocketKind) -> Self {
        let kind = kind.as_str();
        metrics::counter!("shop_live_sockets_opened_total", "kind" => kind).increment(1);
        let messages = |message| metrics::counter!("shop_live_messages_total", "kind" => kind, "message" => message);
        let open = metrics::gauge!("shop_live_sockets", "kind" => kind);
        open.increment(1);
        Self { open, events: messages("event"), resyncs: messages("resync") }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.decrement(1);
    }
}

impl Feed {
    /// How long a reader may take for one message before it is dropped.
    pub(super) fn slow_reader(&self) -> Duration {
        self.live.slow_reader
    }

    /// Counts an event that the client has taken.
    pub(super) fn event_taken(&self) {
        self.counted.events.increment(1);
    }

    /// Counts that the client was told to start afresh.
    pub(super) fn resync_taken(&self) {
        self.counted.resyncs.increment(1);
    }

    /// Whether the token still counts.
    pub(super) fn check_token(&self) -> Result<(), Revoked> {
        if self.live.revocations.revoked(&self.holder) { Err(Revoked) } else { Ok(()) }
    }

    /// Waits until there may be something to send. May be dropped and called again.
    pub(super) async fn signal(&mut self) -> Signal {
        match self.look {
            Some(at) => {
                sleep_until(at).await;
                Signal::Look
            }
            None => self.seat.signal().await,
        }
    }

    /// What is to be sent after that signal, in order.
    pub(super) async fn take(&mut self, signal: Signal) -> Result<Vec<Told>, Revoked> {
        match signal {
            Signal::News(news) if news.seq <= self.position => Ok(Vec::new()),
            Signal::News(news) if news.seq == self.position + 1 => {
                self.position = news.seq;
                Ok(vec![Told::News(news)])
            }
            // Boxed, so that sockets that wait are small.
            _ => Box::pin(self.read()).await,
        }
    }

    /// Reads the table after the position.
    async fn read(&mut self) -> Result<Vec<Told>, Revoked> {
        self.check_token()?;
        self.look = None;
        let failed = match timeout(READ_LIMIT, self.next_page()).await {
            Ok(Ok(told)) => return Ok(told),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "PostgreSQL does not answer".to_owned(),
        };
        tracing::warn!(failed, "cannot read events, trying again");
        self.look = Some(Instant::now() + READ_AGAIN);
        Ok(Vec::new())
    }

    async fn next_page(&mut self) -> Result<Vec<Told>, sqlx::Error> {
        let mut connection = self.live.pool.acquire().await?;
        let last = events::last_number(&mut connection, self.holder.user_id).await?;
        if self.lost || last < self.position {
            return Ok(vec![self.start_afresh(last)]);
        }
        if last == self.position {
            return Ok(Vec::new());
        }
        let page = news::after(&mut connection, &[(self.holder.user_id, self.position)], PAGE).await?;
        let mut told = Vec::with_capacity(page.len());
        for news in page {
            // What is missing in between was forgotten because of its age.
            if news.seq != self.position + 1 {
                break;
            }
            self.position = news.seq;
            told.push(Told::News(Arc::new(news)));
        }
        if told.is_empty() {
            told.push(self.start_afresh(last));
        }
        // There may be more.
        if self.position < last {
            self.look = Some(Instant::now());
        }
        Ok(told)
    }

    fn start_afresh(&mut self, last: i64) -> Told {
        self.lost = false;
        self.position = last;
        Told::Resync(last)
    }
}
