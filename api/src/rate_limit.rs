//! Rate limits: so many requests a minute from one client, in each process.
//!
//! GCRA by the `governor` crate, in memory: a request never waits for Redis to
//! be let in, and the limit of a shop with several apis is the sum of theirs.

use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use rocket::Request;
use rocket::fairing::AdHoc;
use rocket::request::{FromRequest, Outcome};
use shop_common::config;

use crate::auth::guard::Caller;
use crate::catchers::{Refused, refuse};
use crate::client_address::ClientAddress;
use crate::error::ApiError;

const FORGET_EVERY: Duration = Duration::from_secs(60);

/// Who has asked how often.
#[derive(Clone)]
pub(crate) struct RateLimits(Option<Arc<Limiters>>);

pub(crate) struct Limiters {
    login: DefaultKeyedRateLimiter<String>,
    register: DefaultKeyedRateLimiter<String>,
    knocks: DefaultKeyedRateLimiter<String>,
    connects: DefaultKeyedRateLimiter<String>,
    writes: DefaultKeyedRateLimiter<String>,
}

impl RateLimits {
    /// Counts one request of a client, if it is within the limit of the group.
    pub(crate) fn check<G: Group>(&self, client: &str) -> Result<(), ApiError> {
        let Some(limiters) = &self.0 else { return Ok(()) };
        G::limiter(limiters).check_key(&client.to_owned()).map_err(|refused| {
            let wait = refused.wait_time_from(DefaultClock::default().now());
            ApiError::RateLimited(wait.as_secs() + 1)
        })
    }

    pub(crate) fn new(settings: &config::RateLimits) -> Self {
        let limiter =
            |per_minute| RateLimiter::keyed(Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN)));
        if !settings.enabled {
            tracing::warn!("rate limits are off");
        }
        Self(settings.enabled.then(|| {
            Arc::new(Limiters {
                login: limiter(settings.login_per_minute),
                register: limiter(settings.register_per_minute),
                knocks: limiter(settings.knocks_per_minute),
                connects: limiter(settings.connects_per_minute),
                writes: limiter(settings.writes_per_minute),
            })
        }))
    }
}

/// A group of routes that share a limit.
pub(crate) trait Group: Send + Sync + 'static {
    /// Whether users are told apart by their tokens. Not where tokens are handed out: who
    /// has many would have as many limits.
    const BY_USER: bool = false;

    fn limiter(limiters: &Limiters) -> &DefaultKeyedRateLimiter<String>;
}

pub(crate) enum Login {}
pub(crate) enum Register {}
pub(crate) enum Knocks {}
pub(crate) enum Connects {}
pub(crate) enum Writes {}

impl Group for Login {
    fn limiter(limiters: &Limiters) -> &DefaultKeyedRateLimiter<String> {
        &limiters.login
    }
}

impl Group for Register {
    fn limiter(limiters: &Limiters) -> &DefaultKeyedRateLimiter<String> {
        &limiters.register
    }
}

impl Group for Knocks {
    fn limiter(limiters: &Limiters) -> &DefaultKeyedRateLimiter<String> {
        &limiters.knocks
    }
}

impl Group for Connects {
    fn limiter(limiters: &Limiters) -> &DefaultKeyedRateLimiter<String> {
        &limiters.connects
    }
}

impl Group for Writes {
    const BY_USER: bool = true;

    fn limiter(limiters: &Limiters) -> &DefaultKeyedRateLimiter<String> {
        &limiters.writes
    }
}

/// Proof that the client is within the limit of the group.
pub(crate) struct Limited<G>(PhantomData<G>);

#[rocket::async_trait]
impl<'r, G: Group> FromRequest<'r> for Limited<G> {
    type Error = Refused;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Refused> {
        let Some(limits) = request.rocket().state::<RateLimits>() else { return Outcome::Success(Self(PhantomData)) };
        let user = G::BY_USER.then(|| Caller::of(request).as_ref().ok()).flatten();
        let address = || ClientAddress::of(request).network();
        match limits.check::<G>(&user.map_or_else(address, |caller| caller.id.to_string())) {
            Ok(()) => Outcome::Success(Self(PhantomData)),
            Err(error) => refuse(request, error),
        }
    }
}

/// Forgets clients that have been away for long enough, so that memory does not grow with their number.
pub(crate) fn forgetting() -> AdHoc {
    AdHoc::on_liftoff("Forget idle clients", |rocket| {
        Box::pin(async move {
            let mut shutdown = rocket.shutdown();
            let Some(RateLimits(Some(limiters))) = rocket.state() else { return };
            let limiters = Arc::clone(limiters);
            tokio::spawn(async move {
                while tokio::time::timeout(FORGET_EVERY, &mut shutdown).await.is_err() {
                    let Limiters { login, register, knocks, connects, writes } = &*limiters;
                    for limiter in [login, register, knocks, connects, writes] {
                        limiter.retain_recent();
                    }
                }
            });
        })
    })
}
