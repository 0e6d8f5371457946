//! All sockets of a run: a task each, opened some at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use shop_common::id::{SessionId, UserId};
use shop_common::users::signing_keys;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::books::Customer;
use crate::client::{self, Heard};
use crate::wire::Wire;

/// What both servers check tokens with.
pub(crate) const SECRET: &str = "0f9d2c7be8a1456394d7c0ab12ef5678";
/// How long a token lives: longer than any run.
pub(crate) const TOKEN_SECONDS: u64 = 6 * 3600;
/// How exactly the end of a feed is noticed.
const LOOK: Duration = Duration::from_millis(20);

/// Sockets that listen, one for each customer and in their order.
pub(crate) struct Audience {
    arrived: Arc<AtomicUsize>,
    stop: CancellationToken,
    listeners: Vec<JoinHandle<Heard>>,
}

impl Audience {
    /// Opens a socket for each customer, so many at the same time.
    pub(crate) async fn gather(
        wire: Wire,
        port: u16,
        customers: &[Customer],
        signer: &Signer,
        at_once: usize,
    ) -> anyhow::Result<Self> {
        let (arrived, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let listeners = stream::iter(customers)
            .map(|customer| {
                let (arrived, stop, token) = (Arc::clone(&arrived), stop.clone(), signer.token(customer.user));
                async move {
                    let socket = client::open(wire, port, &token?).await?;
                    anyhow::Ok(tokio::spawn(client::listen(socket, wire, arrived, stop)))
                }
            })
            .buffered(at_once)
            .try_collect()
            .await?;
        Ok(Self { arrived, stop, listeners })
    }

    /// Waits until so many changes have been heard in all, but not for ever.
    pub(crate) async fn wait_for(&self, changes: usize, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.arrived.load(Ordering::Relaxed) < changes && Instant::now() < deadline {
            sleep(LOOK).await;
        }
    }

    /// Closes all sockets; gives what each of them has heard.
    pub(crate) async fn leave(self) -> anyhow::Result<Vec<Heard>> {
        self.stop.cancel();
        let mut heard = Vec::with_capacity(self.listeners.len());
        for listener in self.listeners {
            heard.push(listener.await.context("a socket's task failed")?);
        }
        Ok(heard)
    }
}

/// What signs the customers' tokens.
pub(crate) struct Signer {
    header: Header,
    key: EncodingKey,
}

impl Signer {
    /// As the apis of the shop with that database sign.
    pub(crate) async fn of_shop(pool: &PgPool) -> anyhow::Result<Self> {
        let live = signing_keys::live(pool, Duration::from_secs(TOKEN_SECONDS)).await?;
        let kid = &live.last().context("the shop has no key")?.kid;
        let header = Header { kid: Some(kid.as_str().to_owned()), ..Header::new(Algorithm::HS256) };
        Ok(Self { header, key: EncodingKey::from_secret(&signing_keys::derive(&SECRET.into(), kid)) })
    }

    /// As the rival checks.
    pub(crate) fn of_rival() -> Self {
        Self { header: Header::new(Algorithm::HS256), key: EncodingKey::from_secret(SECRET.as_bytes()) }
    }

    /// A token as the shop issues them.
    fn token(&self, user: UserId) -> anyhow::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = json!({
            "sub": user,
            "email": format!("{user}@live.example"),
            "role": "CLIENT",
            "sid": SessionId::new(),
            "gen": 0,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "iss": "shop",
            "aud": "shop",
        });
        jsonwebtoken::encode(&self.header, &claims, &self.key).context("signing a token")
    }
}
