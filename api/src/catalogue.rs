//! Answers about products that are kept as bytes, so that a page that everybody looks at is read and rendered once.
//!
//! A kept answer is good until a product in it changes, and never for longer than `catalogue.fresh_ms`. Changes that this
//! api makes are heard before they are answered, those of others through Redis; what Redis loses is old for `fresh_ms`. Orders
//! are decided by the database alone, so what is kept here can mislead a reader for a moment, and nobody else.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::future::Cache;
use rocket::fairing::AdHoc;
use rocket::http::Header;
use rocket::response::{self, Responder, Response};
use rocket::{Request, Shutdown};
use shop_common::config;
use shop_common::id::ProductId;
use shop_common::products::changes::{self, CHANGES};
use shop_common::redis::Redis;
use tokio::time::timeout;

use crate::error::{ApiError, SharedError};
use crate::etag::Tagged;

/// Products share counters, so that the memory for these does not grow with the catalogue: with a thousand times more
/// products than changes at a time, few lose an answer to somebody else's change.
const COUNTERS: usize = 4096;
/// What an answer costs beside its bytes, about.
const OVERHEAD: usize = 256;
/// How often a broken subscription is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// An answer that is kept.
#[derive(Clone)]
pub(crate) struct Kept(Arc<Answer>);

struct Answer {
    tagged: Tagged,
    /// The `Link` to the next page.
    link: Option<String>,
    /// How many changes there had been when the reading began.
    changes: u64,
}

/// What an answer shows, and so what makes it old.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shows {
    /// A list: any change.
    Any,
    /// A product: its own changes.
    One(ProductId),
}

/// The answers that are kept; cheap to clone.
#[derive(Clone)]
pub(crate) struct Catalogue {
    answers: Cache<String, Kept>,
    changes: Arc<Counters>,
}

/// How often products have changed, as far as this api has heard.
struct Counters {
    all: AtomicU64,
    one: [AtomicU64; COUNTERS],
    hash: RandomState,
}

impl Counters {
    fn of(&self, shows: Shows) -> &AtomicU64 {
        match shows {
            Shows::Any => &self.all,
            Shows::One(product) => {
                let place = usize::try_from(self.hash.hash_one(product)).unwrap_or_default() % COUNTERS;
                self.one.get(place).unwrap_or(&self.all)
            }
        }
    }
}

impl Catalogue {
    pub(crate) fn new(settings: &config::Catalogue) -> Self {
        let answers = Cache::builder()
            .max_capacity(settings.kept_bytes)
            .weigher(|key: &String, Kept(answer)| {
                let link = answer.link.as_ref().map_or(0, String::len);
                let bytes = key.len() + answer.tagged.len() + link + OVERHEAD;
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .time_to_live(Duration::from_millis(settings.fresh_ms))
            .build();
        let one = std::array::from_fn(|_| AtomicU64::new(0));
        Self { answers, changes: Arc::new(Counters { all: AtomicU64::new(0), one, hash: RandomState::new() }) }
    }

    /// The answer to that address: the one that is kept, or else what `read` gives. Whoever asks meanwhile waits for that
    /// one reading, so a crowd costs one query.
    pub(crate) async fn get<F>(&self, address: &str, shows: Shows, read: impl Fn() -> F) -> Result<Kept, SharedError>
    where
        F: Future<Output = Result<(Tagged, Option<String>), ApiError>>,
    {
        let counter = self.changes.of(shows);
        let asked = counter.load(Ordering::Acquire);
        loop {
            if let Some(kept) = self.answers.get(address).await {
                if kept.0.changes >= asked {
                    metrics::counter!("shop_catalogue_answers_total", "from" => "memory").increment(1);
                    return Ok(kept);
                }
                self.answers.invalidate(address).await;
            }
            let reading = async {
                metrics::counter!("shop_catalogue_answers_total", "from" => "database").increment(1);
                let changes = counter.load(Ordering::Acquire);
                let (tagged, link) = read().await?;
                Ok(Kept(Arc::new(Answer { tagged, link, changes })))
            };
            let kept = self.answers.try_get_with_by_ref(address, reading).await?;
            // A reading that others had begun before the last change is not good enough for who asked after it.
            if kept.0.changes >= asked {
                return Ok(kept);
            }
            self.answers.invalidate(address).await;
        }
    }

    /// From now on no answer is given that was read before these products changed.
    pub(crate) fn forget(&self, products: impl IntoIterator<Item = ProductId>) {
        for product in products {
            self.changes.of(Shows::One(product)).fetch_add(1, Ordering::Release);
        }
        self.changes.all.fetch_add(1, Ordering::Release);
    }

    /// The same of all products.
    fn forget_all(&self) {
        for counter in self.changes.one.iter().chain([&self.changes.all]) {
            counter.fetch_add(1, Ordering::Release);
        }
    }
}

impl<'r> Responder<'r, 'static> for Kept {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let mut response = Response::build_from(self.0.tagged.clone().respond_to(request)?);
        if let Some(link) = &self.0.link {
            response.header(Header::new("Link", link.clone()));
        }
        response.ok()
    }
}

/// Hears what others change.
pub(crate) fn ears(settings: config::Redis) -> AdHoc {
    AdHoc::on_liftoff("Catalogue", |rocket| {
        Box::pin(async move {
            let Some(catalogue) = rocket.state::<Catalogue>().cloned() else { return };
            let heard = catalogue.clone();
            match Redis::connect_listening(&settings, move |message| heard.forget(changes::told(message))) {
                Ok(redis) => drop(tokio::spawn(listen(redis, catalogue, rocket.shutdown()))),
                Err(error) => tracing::error!(%error, "not listening, products are shown late by a moment"),
            }
        })
    })
}

/// Subscribes until that has succeeded, then pings, so that a connection that broke while idle is mended. What was
/// told before the subscription was not heard, so nothing from before it is kept.
async fn listen(redis: Redis, catalogue: Catalogue, mut shutdown: Shutdown) {
    let mut subscribed = false;
    loop {
        if subscribed {
            subscribed = redis.ping().await.is_ok();
        } else {
            subscribed = redis.subscribe(CHANGES).await.is_ok();
            catalogue.forget_all();
        }
        if timeout(LOOK, &mut shutdown).await.is_ok() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures::future::join_all;
    use tokio::sync::Notify;

    use super::*;
    use crate::etag::Etagged;

    fn catalogue(fresh_ms: u64) -> Catalogue {
        Catalogue::new(&config::Catalogue { fresh_ms, kept_bytes: 1 << 20 })
    }

    fn answer(text: &str) -> Result<(Tagged, Option<String>), ApiError> {
        Ok((Etagged::public(text).render()?, None))
    }

    /// Gives how many times the answer had to be read, when it was asked for again after `between`.
    async fn reads(catalogue: &Catalogue, shows: Shows, between: impl FnOnce()) -> usize {
        let reads = AtomicUsize::new(0);
        let read = async || {
            reads.fetch_add(1, Ordering::Relaxed);
            answer("mug")
        };
        assert!(catalogue.get("/", shows, read).await.is_ok());
        between();
        assert!(catalogue.get("/", shows, read).await.is_ok());
        reads.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn an_answer_is_read_once_until_a_product_in_it_changes() {
        let (mug, pan) = (ProductId::new(), ProductId::new());
        assert_eq!(reads(&catalogue(60_000), Shows::One(mug), || {}).await, 1);
        let kept = catalogue(60_000);
        assert_eq!(reads(&kept, Shows::One(mug), || kept.forget([mug])).await, 2);
        let kept = catalogue(60_000);
        assert_eq!(reads(&kept, Shows::Any, || kept.forget([pan])).await, 2);
        for shows in [Shows::One(mug), Shows::Any] {
            let kept = catalogue(60_000);
            assert_eq!(reads(&kept, shows, || kept.forget_all()).await, 2);
        }
    }

    #[tokio::test]
    async fn what_is_not_to_be_kept_is_read_each_time() {
        assert_eq!(reads(&catalogue(0), Shows::Any, || {}).await, 2);
    }

    #[tokio::test]
    async fn a_crowd_costs_one_reading() {
        let (kept, reads) = (catalogue(60_000), AtomicUsize::new(0));
        let read = async || {
            reads.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            answer("mug")
        };

        let answers = join_all((0..100).map(|_| kept.get("/", Shows::Any, read))).await;

        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn who_asks_after_a_change_is_not_given_what_was_read_before_it() {
        let (kept, mug) = (catalogue(60_000), ProductId::new());
        let (reading, go_on) = (Notify::new(), Notify::new());
        let old = async || {
            reading.notify_one();
            go_on.notified().await;
            answer("old")
        };
        let early = kept.get("/", Shows::One(mug), old);
        let late = async {
            reading.notified().await;
            kept.forget([mug]);
            let late = kept.get("/", Shows::One(mug), async || answer("new"));
            tokio::pin!(late);
            // It waits for the reading that is under way, and is not content with it.
            assert!(futures::poll!(&mut late).is_pending());
            go_on.notify_one();
            late.await
        };

        let (early, late) = tokio::join!(early, late);

        let text = |kept: Result<Kept, SharedError>| kept.ok().unwrap().0.tagged.text();
        assert_eq!((text(early).as_str(), text(late).as_str()), ("\"old\"", "\"new\""));
    }

    #[tokio::test]
    async fn an_error_is_not_kept() {
        let kept = catalogue(60_000);
        assert!(kept.get("/", Shows::Any, async || Err(ApiError::Unavailable)).await.is_err());
        assert!(kept.get("/", Shows::Any, async || answer("mug")).await.is_ok());
    }
}
