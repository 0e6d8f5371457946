//! A customer who watches their orders live, comes back after every break, and must miss nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use uuid::Uuid;

use crate::journal::Journal;
use crate::stage::{Customer, Stage};

/// The longest silence before a watcher connects anew: a network may have swallowed everything.
const SILENCE: Duration = Duration::from_secs(2);

/// Somebody who watches.
#[derive(Debug, Clone)]
pub struct Watcher {
    stage: Arc<Stage>,
    journal: Arc<Journal>,
    customer: Customer,
    /// The number of the last event that came.
    seen: Arc<AtomicI64>,
    stop: Arc<AtomicBool>,
}

impl Watcher {
    /// Somebody who has seen everything so far.
    ///
    /// # Errors
    /// When the books cannot be read.
    pub async fn new(
        stage: Arc<Stage>,
        journal: Arc<Journal>,
        customer: &Customer,
        stop: Arc<AtomicBool>,
    ) -> sqlx::Result<Self> {
        let seen = last(&stage, customer.id).await?;
        Ok(Self { stage, journal, customer: customer.clone(), seen: Arc::new(AtomicI64::new(seen)), stop })
    }

    /// Watches until told to stop.
    pub async fn run(self) {
        let mut turn = 0;
        while !self.stop.load(Ordering::Relaxed) {
            turn += 1;
            self.connect(turn).await;
            sleep(Duration::from_millis(30)).await;
        }
    }

    /// Whether the last event has come; waits for it a while.
    ///
    /// # Errors
    /// When the books cannot be read.
    pub async fn has_seen_all(&self, patience: Duration) -> sqlx::Result<bool> {
        let all = last(&self.stage, self.customer.id).await?;
        let seen = async {
            while self.seen.load(Ordering::SeqCst) < all {
                sleep(Duration::from_millis(10)).await;
            }
        };
        Ok(timeout(patience, seen).await.is_ok())
    }

    /// One connection, at one api or the other, until it breaks.
    async fn connect(&self, turn: usize) {
        let api = &self.stage.apis[turn % self.stage.apis.len()];
        let since = self.seen.load(Ordering::SeqCst);
        let url = format!("{}/ws?since={since}", api.url.replace("http", "ws"));
        let Ok(mut request) = url.into_client_request() else { return };
        let Ok(token) = format!("Bearer {}", self.customer.token).parse() else { return };
        request.headers_mut().insert("Authorization", token);
        let Ok(Ok((mut socket, _))) = timeout(SILENCE, connect_async(request)).await else { return };
        while let Ok(Some(Ok(message))) = timeout(SILENCE, socket.next()).await {
            if let Message::Text(text) = message {
                self.hear(&text);
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    fn hear(&self, text: &str) {
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        let seen = self.seen.load(Ordering::SeqCst);
        match message["seq"].as_i64() {
            Some(seq) if seq == seen + 1 => self.seen.store(seq, Ordering::SeqCst),
            _ => self.journal.violation(format!("I7 after event {seen} came {text}")),
        }
        let owner = message["data"]["createdBy"].as_str();
        if owner.is_some_and(|owner| owner.parse() != Ok(self.customer.id)) {
            self.journal.violation(format!("I7 customer {} was told {text}", self.customer.id));
        }
    }
}

async fn last(stage: &Stage, user: Uuid) -> sqlx::Result<i64> {
    let last = sqlx::query_scalar("SELECT last_seq FROM event_streams WHERE user_id = $1")
        .bind(user)
        .fetch_optional(&stage.pool)
        .await?;
    Ok(last.unwrap_or(0))
}
