//! The limits that all apis share, in Redis; and what tells when it is not worth to ask.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{AsyncCommands, RedisResult, Script};
use shop_common::redis::Redis;
use tokio::time::{Instant, timeout};

use super::quota::Quota;

static GCRA: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("gcra.lua")));

/// After Redis has failed, how long nobody asks it.
const PAUSE: Duration = Duration::from_secs(1);

/// What a request has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    /// How many tokens of each limit.
    pub(super) tokens: u32,
    /// How long until the quota of each limit is whole again.
    pub(super) whole_in: Vec<Duration>,
}

/// The limits in Redis. Whatever is asked is answered in time, or with `None`: then Redis is away, or too slow.
pub(super) struct Shared {
    redis: Redis,
    timeout: Duration,
    breaker: Breaker,
}

impl Shared {
    pub(super) fn new(redis: Redis, timeout: Duration) -> Self {
        Self { redis, timeout, breaker: Breaker::new() }
    }

    /// Connects, so that the first client does not wait for that.
    pub(super) async fn connect(&self) {
        // Without Redis there is a warning at the first request.
        let _ = self.redis.ping().await;
    }

    /// How long an answer is waited for.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether Redis is left alone at the moment.
    #[cfg(test)]
    pub(super) fn is_away(&self) -> bool {
        self.breaker.retry_at.load(Ordering::Relaxed) != CLOSED
    }

    /// Takes tokens of all these limits (named as their keys in Redis): of each the same number, and no more than wanted.
    pub(super) async fn take(&self, limits: &[(&str, Quota)], wanted: u32) -> Option<Taken> {
        let mut call = GCRA.prepare_invoke();
        call.arg(wanted);
        for (name, quota) in limits {
            call.key(self.redis.key(name)).arg(micros(quota.interval())).arg(quota.burst().get());
        }
        let mut connection = self.redis.connection();
        let answer: Vec<u64> = self.ask(call.invoke_async(&mut connection)).await?;
        let (tokens, whole_in) = answer.split_first()?;
        Some(Taken {
            tokens: u32::try_from(*tokens).unwrap_or(u32::MAX),
            whole_in: whole_in.iter().copied().map(Duration::from_micros).collect(),
        })
    }

    /// Whether that name was remembered, and not too long ago.
    pub(super) async fn remembers(&self, name: &str) -> Option<bool> {
        let mut connection = self.redis.connection();
        self.ask(connection.exists(self.redis.key(name))).await
    }

    /// Remembers a name for so long. Where that is not possible, it is not known later.
    pub(super) async fn remember(&self, name: &str, time: Duration) {
        let mut connection = self.redis.connection();
        let _: Option<()> = self.ask(connection.set_ex(self.redis.key(name), 1, time.as_secs().max(1))).await;
    }

    async fn ask<T>(&self, call: impl Future<Output = RedisResult<T>>) -> Option<T> {
        if !self.breaker.lets_ask() {
            return None;
        }
        match timeout(self.timeout, call).await {
            Ok(Ok(answer)) => {
                self.breaker.answered();
                Some(answer)
            }
            Ok(Err(error)) => {
                self.breaker.failed(&error.to_string());
                None
            }
            Err(_) => {
                self.breaker.failed("no answer in time");
                None
            }
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The value of [`Breaker::retry_at`] while Redis answers.
const CLOSED: u64 = 0;

/// Keeps requests from waiting for a Redis that is away: after a failure one of them asks each [`PAUSE`].
struct Breaker {
    since: Instant,
    /// When one may ask again, in milliseconds since the start.
    retry_at: AtomicU64,
}

impl Breaker {
    fn new() -> Self {
        metrics::gauge!("shop_rate_limits_local").set(0);
        Self { since: Instant::now(), retry_at: AtomicU64::new(CLOSED) }
    }

    fn lets_ask(&self) -> bool {
        let retry_at = self.retry_at.load(Ordering::Relaxed);
        if retry_at == CLOSED {
            return true;
        }
        // Who moves it on is the one who asks.
        self.now() >= retry_at
            && self
                .retry_at
                .compare_exchange(retry_at, self.after_pause(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    fn answered(&self) {
        if self.retry_at.load(Ordering::Relaxed) != CLOSED && self.retry_at.swap(CLOSED, Ordering::Relaxed) != CLOSED {
            metrics::gauge!("shop_rate_limits_local").set(0);
            tracing::info!("rate limits are shared again");
        }
    }

    fn failed(&self, cause: &str) {
        if self.retry_at.swap(self.after_pause(), Ordering::Relaxed) == CLOSED {
            metrics::gauge!("shop_rate_limits_local").set(1);
            tracing::warn!(cause, "Redis is away, each api counts its requests by itself");
        }
    }

    fn after_pause(&self) -> u64 {
        self.now() + u64::try_from(PAUSE.as_millis()).unwrap_or(u64::MAX)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
