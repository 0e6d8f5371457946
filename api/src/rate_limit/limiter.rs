//! One limit for all clients of a group: shared by all apis, or local while Redis is away.

use std::sync::OnceLock;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::{DefaultKeyedRateLimiter, RateLimiter};
use metrics::Counter;
use tokio::time::Instant;

use super::lease::Leases;
use super::quota::{Quota, Verdict};
use super::shared::Shared;

/// How requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counting {
    /// Each by a round trip to Redis: exact, for what is dear anyway.
    OneByOne,
    /// From chunks that are taken in advance, for what is cheap.
    InChunks,
}

/// A limit.
pub(crate) struct Limiter {
    policy: &'static str,
    quota: Quota,
    leases: Option<Leases>,
    /// Counts while Redis is away, and begins anew each time.
    local: DefaultKeyedRateLimiter<String, StateInformationMiddleware>,
    /// Counts what was decided; made when it decides first, because `login_strangers` never does so by itself.
    decided: OnceLock<Decided>,
}

/// What is counted of a limit.
struct Decided {
    admitted: Counter,
    refused: Counter,
}

impl Decided {
    fn new(policy: &'static str) -> Self {
        let counter =
            |outcome| metrics::counter!("shop_rate_limit_decisions_total", "group" => policy, "outcome" => outcome);
        Self { admitted: counter("admitted"), refused: counter("refused") }
    }
}

impl Limiter {
    pub(super) fn new(policy: &'static str, quota: Quota, counting: Counting) -> Self {
        let burst = quota.burst();
        let local = governor::Quota::with_period(quota.interval()).unwrap_or(governor::Quota::per_minute(burst));
        Self {
            policy,
            quota,
            leases: (counting == Counting::InChunks).then(|| Leases::new(quota)),
            local: RateLimiter::keyed(local.allow_burst(burst)).with_middleware(),
            decided: OnceLock::new(),
        }
    }

    /// The name by which clients are told of the limit.
    pub(super) fn policy(&self) -> &'static str {
        self.policy
    }

    pub(super) fn quota(&self) -> Quota {
        self.quota
    }

    /// Where Redis keeps what that client has used.
    pub(super) fn key(&self, client: &str) -> String {
        format!("limit:{}:{client}", self.policy)
    }

    /// Counts one request of a client.
    pub(super) async fn check(&self, shared: &Shared, client: &str) -> Verdict {
        let take = async |wanted| shared.take(&[(self.key(client).as_str(), self.quota)], wanted).await;
        let said = match &self.leases {
            Some(leases) => leases.acquire(client, shared.timeout(), take).await,
            None => take(1).await.and_then(|taken| {
                let whole_in = *taken.whole_in.first()?;
                Some(Verdict::new(taken.tokens > 0, self.quota, whole_in))
            }),
        };
        said.unwrap_or_else(|| self.check_locally(client))
    }

    /// Counts what was decided on a request.
    pub(super) fn decided(&self, verdict: Verdict) {
        let decided = self.decided.get_or_init(|| Decided::new(self.policy));
        if verdict.admitted { decided.admitted.increment(1) } else { decided.refused.increment(1) }
    }

    /// Counts one request of a client in this process only.
    pub(super) fn check_locally(&self, client: &str) -> Verdict {
        match self.local.check_key(&client.to_owned()) {
            Ok(state) => {
                let used = self.quota.burst().get().saturating_sub(state.remaining_burst_capacity());
                Verdict::new(true, self.quota, self.quota.interval().saturating_mul(used))
            }
            Err(refused) => {
                let wait = refused.wait_time_from(DefaultClock::default().now());
                Verdict { admitted: false, left: 0, wait: wait.max(std::time::Duration::from_micros(1)) }
            }
        }
    }

    /// By how much one api may go above the quota.
    #[cfg(test)]
    pub(super) fn largest_chunk(&self) -> u32 {
        self.leases.as_ref().map_or(0, Leases::largest_chunk)
    }

    /// Forgets clients that have been away for long enough, so that memory does not grow with their number.
    pub(super) fn forget(&self) {
        self.local.retain_recent();
        if let Some(leases) = &self.leases {
            leases.forget(Instant::now());
        }
    }
}
