//! Leases: tokens that an api has taken in advance, so that not each request has to ask Redis.
//!
//! An api takes a chunk of a client's tokens and spends it from memory. Chunks begin with one token and double while
//! they are spent in time: who comes once costs one token, who comes often soon pays no round trip. What is not
//! spent in time is lost, not given back. So a client may spend tokens somewhat later than they were taken: with
//! the quota whole again in the meantime, each api lets in one chunk more than the quota says, and never more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as Gate;
use tokio::time::{Instant, timeout};

use super::quota::{Quota, Verdict};
use super::shared::Taken;

/// Tokens in a chunk, at most, and as a share of the burst.
const LARGEST_CHUNK: u32 = 50;
const SHARE_OF_BURST: u32 = 10;
/// How long a chunk is good.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// Clients that are remembered; of more, each request asks Redis.
const MOST_CLIENTS: usize = 100_000;

/// The leases of one group of routes.
pub(super) struct Leases {
    quota: Quota,
    clients: Mutex<HashMap<String, Lease>>,
}

/// What this api has of a client.
struct Lease {
    /// Tokens that are not spent.
    tokens: u32,
    /// Tokens of the whole chunk.
    chunk: u32,
    /// When it was taken.
    taken_at: Instant,
    /// How long it was then until the quota would be whole again.
    whole_in: Duration,
    /// Held by the one request that asks for the next chunk, while others wait for it.
    gate: Arc<Gate<()>>,
}

/// What the memory says of a request.
enum Spend {
    /// Enough is known.
    Decided(Verdict),
    /// So many tokens have to be taken.
    Ask { wanted: u32, gate: Arc<Gate<()>> },
    /// There are too many clients to remember this one.
    NoRoom,
}

impl Leases {
    pub(super) fn new(quota: Quota) -> Self {
        Self { quota, clients: Mutex::default() }
    }

    /// The largest chunk: by how much each api may go above the quota.
    pub(super) fn largest_chunk(&self) -> u32 {
        (self.quota.burst().get() / SHARE_OF_BURST).clamp(1, LARGEST_CHUNK)
    }

    /// Decides on a request of a client. `take` takes so many tokens from Redis, and is called by one request
    /// of a client at a time. `None` when it gives nothing, or the others' asking takes longer than `patience`.
    pub(super) async fn acquire<F>(
        &self,
        client: &str,
        patience: Duration,
        take: impl FnOnce(u32) -> F,
    ) -> Option<Verdict>
    where
        F: Future<Output = Option<Taken>>,
    {
        let gate = match self.spend(client, Instant::now()) {
            Spend::Decided(verdict) => return Some(verdict),
            Spend::Ask { gate, .. } => gate,
            Spend::NoRoom => {
                let taken = take(1).await?;
                return Some(Verdict::new(taken.tokens > 0, self.quota, *taken.whole_in.first()?));
            }
        };
        let _turn = timeout(patience, gate.lock()).await.ok()?;
        // While this one waited, another may have brought tokens for both.
        let wanted = match self.spend(client, Instant::now()) {
            Spend::Decided(verdict) => return Some(verdict),
            Spend::Ask { wanted, .. } => wanted,
            Spend::NoRoom => 1,
        };
        let taken = take(wanted).await?;
        Some(self.keep(client, taken.tokens, *taken.whole_in.first()?, Instant::now()))
    }

    /// Spends a token, if one is in hand; refuses, if it is known that there is none yet.
    fn spend(&self, client: &str, now: Instant) -> Spend {
        let mut clients = self.lock();
        let Some(lease) = clients.get_mut(client) else {
            if clients.len() >= MOST_CLIENTS {
                return Spend::NoRoom;
            }
            let lease = Lease { tokens: 0, chunk: 0, taken_at: now, whole_in: Duration::ZERO, gate: Arc::default() };
            let gate = Arc::clone(&lease.gate);
            clients.insert(client.to_owned(), lease);
            return Spend::Ask { wanted: 1, gate };
        };
        let age = now.saturating_duration_since(lease.taken_at);
        let in_time = age < GOOD_FOR;
        if in_time && lease.tokens > 0 {
            lease.tokens -= 1;
            return Spend::Decided(self.verdict(lease, age));
        }
        // Nobody makes the quota whole sooner than it was said: until then nobody needs to ask.
        if lease.chunk == 0 && !lease.whole_in.is_zero() {
            let verdict = Verdict::new(false, self.quota, lease.whole_in.saturating_sub(age));
            if verdict.left == 0 {
                return Spend::Decided(verdict);
            }
        }
        let wanted = if in_time { (2 * lease.chunk).clamp(1, self.largest_chunk()) } else { 1 };
        Spend::Ask { wanted, gate: Arc::clone(&lease.gate) }
    }

    /// Keeps what was taken, less the one for the request that took it.
    fn keep(&self, client: &str, tokens: u32, whole_in: Duration, now: Instant) -> Verdict {
        let mut clients = self.lock();
        let in_hand = tokens.saturating_sub(1);
        let Some(lease) = clients.get_mut(client) else {
            // Forgotten in the meantime: what is left over is lost.
            return Verdict::new(tokens > 0, self.quota, whole_in);
        };
        (lease.tokens, lease.chunk, lease.taken_at, lease.whole_in) = (in_hand, tokens, now, whole_in);
        Verdict { admitted: tokens > 0, ..self.verdict(lease, Duration::ZERO) }
    }

    /// The verdict for a client that was let in and has that lease. What is in hand counts as not spent.
    fn verdict(&self, lease: &Lease, age: Duration) -> Verdict {
        let in_hand = self.quota.interval().saturating_mul(lease.tokens);
        Verdict::new(true, self.quota, lease.whole_in.saturating_sub(age).saturating_sub(in_hand))
    }

    /// Forgets leases that are not good any more.
    pub(super) fn forget(&self, now: Instant) {
        let mut clients = self.lock();
        clients.retain(|_, lease| {
            let age = now.saturating_duration_since(lease.taken_at);
            // Whoever waits at the gate will look for the lease.
            age < GOOD_FOR || Arc::strong_count(&lease.gate) > 1
        });
        // After a flood the memory is given back too.
        if clients.capacity() > 4 * clients.len().max(1024) {
            clients.shrink_to_fit();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lease>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use shop_common::config;

    use super::*;

    /// Ten a minute, and 100 at once: chunks of ten at most.
    fn leases() -> Leases {
        Leases::new(config::RateLimit { per_minute: 10.try_into().unwrap(), burst: 100.try_into().unwrap() }.into())
    }

    fn wanted(spend: Spend) -> Option<u32> {
        match spend {
            Spend::Ask { wanted, .. } => Some(wanted),
            _ => None,
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn chunks_double_while_they_are_spent_in_time_and_begin_anew_when_they_are_not() {
        let leases = leases();
        let mut now = Instant::now();
        let mut chunks = Vec::new();
        for _ in 0..6 {
            now += SECOND;
            let chunk = wanted(leases.spend("ada", now)).unwrap();
            leases.keep("ada", chunk, SECOND, now);
            for _ in 1..chunk {
                assert!(wanted(leases.spend("ada", now)).is_none(), "a chunk is spent to its end");
            }
            chunks.push(chunk);
        }
        assert_eq!(chunks, [1, 2, 4, 8, 10, 10]);

        leases.keep("ada", 10, SECOND, now);
        assert_eq!(wanted(leases.spend("ada", now + GOOD_FOR)), Some(1), "what was not spent in time is lost");
    }

    #[test]
    fn who_was_refused_is_refused_from_memory_until_there_is_a_token() {
        let leases = leases();
        let now = Instant::now();
        assert_eq!(wanted(leases.spend("ada", now)), Some(1));
        // Ten a minute: one each six seconds.
        let refused = leases.keep("ada", 0, Duration::from_secs(598), now);
        assert_eq!((refused.admitted, refused.left, refused.seconds()), (false, 0, 4));

        let Spend::Decided(again) = leases.spend("ada", now + SECOND) else { panic!("Redis was asked") };
        assert_eq!((again.admitted, again.left, again.seconds()), (false, 0, 3));
        assert_eq!(wanted(leases.spend("ada", now + 4 * SECOND)), Some(1));
        assert_eq!(wanted(leases.spend("bob", now)), Some(1), "others have tokens of their own");
    }

    #[test]
    fn what_is_in_hand_counts_as_left() {
        let leases = leases();
        let now = Instant::now();
        leases.spend("ada", now);
        let first = leases.keep("ada", 10, Duration::from_secs(60), now);
        assert_eq!((first.left, first.seconds()), (99, 6));
        let Spend::Decided(second) = leases.spend("ada", now) else { panic!("Redis was asked") };
        assert_eq!((second.left, second.seconds()), (98, 12));
    }

    #[test]
    fn clients_who_are_gone_are_forgotten_and_their_number_is_bounded() {
        let leases = leases();
        let now = Instant::now();
        for client in 0..MOST_CLIENTS {
            drop(leases.spend(&client.to_string(), now));
        }
        assert!(matches!(leases.spend("one more", now), Spend::NoRoom));

        leases.forget(now + GOOD_FOR);

        assert_eq!(leases.lock().len(), 0);
        assert!(leases.lock().capacity() < MOST_CLIENTS);
        assert_eq!(wanted(leases.spend("one more", now)), Some(1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_requests_at_once_ask_one_after_the_other_and_spend_what_was_taken_and_no_more() {
        const REQUESTS: u32 = 300;
        const THERE_ARE: u32 = 100;
        let leases = Arc::new(leases());
        let (asked, asking, taken) =
            (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let requests: Vec<_> = (0..REQUESTS)
            .map(|_| {
                let (leases, asked, asking, taken) = (leases.clone(), asked.clone(), asking.clone(), taken.clone());
                tokio::spawn(async move {
                    let take = |wanted: u32| async move {
                        assert_eq!(asking.fetch_add(1, Ordering::SeqCst), 0, "two ask at once");
                        asked.fetch_add(1, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                        let tokens = wanted.min(THERE_ARE - taken.load(Ordering::SeqCst));
                        let taken = taken.fetch_add(tokens, Ordering::SeqCst) + tokens;
                        asking.fetch_sub(1, Ordering::SeqCst);
                        let whole_in = vec![Duration::from_secs(6) * taken];
                        Some(Taken { tokens, whole_in })
                    };
                    leases.acquire("ada", Duration::from_secs(60), take).await.unwrap().admitted
                })
            })
            .collect();

        let mut admitted = 0;
        for request in requests {
            admitted += u32::from(request.await.unwrap());
        }

        assert_eq!(admitted, THERE_ARE);
        let asked = asked.load(Ordering::SeqCst);
        assert!(asked <= 20, "{asked} round trips");
    }
}
