//! Rate limits: how often one client may ask, counted by all apis together.
//!
//! GCRA in Redis ([`shared`]). Reads and writes cost no round trip each, but take tokens in chunks ([`lease`]). While Redis is away,
//! each api counts by itself ([`limiter`]). What a limit says is in the headers of each answer ([`fields`]).
//! Written here and not taken from a crate: those that do GCRA in Redis are made for other versions of its client (0.25 to 0.32),
//! take no tokens in advance, and have nothing for when Redis is away.

mod fields;
mod lease;
mod limiter;
mod login;
mod quota;
mod shared;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use redis::RedisResult;
use rocket::Request;
use rocket::fairing::AdHoc;
use rocket::request::{FromRequest, Outcome};
use shop_common::config;
use shop_common::redis::Redis;

pub(crate) use self::fields::Fields;
use self::fields::Reports;
use self::limiter::{Counting, Limiter};
pub(crate) use self::login::Logins;
use self::shared::Shared;
use crate::auth::guard::Caller;
use crate::catchers::{Refused, refuse};
use crate::client_address::ClientAddress;
use crate::error::ApiError;

const FORGET_EVERY: Duration = Duration::from_secs(10);

/// Who has asked how often; `None` when there are no limits.
#[derive(Clone)]
pub(crate) struct RateLimits(Option<Arc<Limiters>>);

pub(crate) struct Limiters {
    shared: Shared,
    login: Limiter,
    login_account: Limiter,
    login_strangers: Limiter,
    /// How long an address is known for an account after a login.
    known_for: Duration,
    register: Limiter,
    knocks: Limiter,
    connects: Limiter,
    writes: Limiter,
    reads: Limiter,
}

impl RateLimits {
    /// The limits of the settings, on a connection of their own.
    ///
    /// # Errors
    /// When the URL of Redis cannot be read.
    pub(crate) fn new(settings: &config::RateLimits, redis: &config::Redis) -> RedisResult<Self> {
        if !settings.enabled {
            tracing::warn!("rate limits are off");
            return Ok(Self(None));
        }
        let exact = |policy, limit: config::RateLimit| Limiter::new(policy, limit.into(), Counting::OneByOne);
        let in_chunks = |policy, limit: config::RateLimit| Limiter::new(policy, limit.into(), Counting::InChunks);
        Ok(Self(Some(Arc::new(Limiters {
            shared: Shared::new(Redis::connect(redis)?, Duration::from_millis(settings.timeout_ms)),
            login: exact("login", settings.login),
            login_account: exact("login-account", settings.login_account),
            login_strangers: exact("login-strangers", settings.login_strangers),
            known_for: Duration::from_secs(settings.known_address_seconds),
            register: exact("register", settings.register),
            knocks: exact("knocks", settings.knocks),
            connects: exact("connects", settings.connects),
            writes: in_chunks("writes", settings.writes),
            reads: in_chunks("reads", settings.reads),
        }))))
    }

    /// Counts one request of a client, if it is within the limit of the group.
    ///
    /// # Errors
    /// `RateLimited`, when it is not.
    pub(crate) async fn check<G: Group>(&self, client: &str) -> Result<(), ApiError> {
        self.check_and_tell::<G>(client, None).await
    }

    /// The same, and tells the client in the headers of the answer to that request.
    ///
    /// # Errors
    /// `RateLimited`, when it is not.
    pub(crate) async fn check_request<G: Group>(&self, request: &Request<'_>, client: &str) -> Result<(), ApiError> {
        self.check_and_tell::<G>(client, Some(Reports::of(request))).await
    }

    async fn check_and_tell<G: Group>(&self, client: &str, reports: Option<&Reports>) -> Result<(), ApiError> {
        let Some(limiters) = &self.0 else { return Ok(()) };
        let limiter = G::limiter(limiters);
        let verdict = limiter.check(&limiters.shared, client).await;
        limiter.decided(verdict);
        if let Some(reports) = reports {
            reports.add(limiter.policy(), limiter.quota(), verdict);
        }
        if verdict.admitted { Ok(()) } else { Err(ApiError::RateLimited(verdict.seconds())) }
    }
}

/// A group of routes that share a limit.
pub(crate) trait Group: Send + Sync + 'static {
    /// Whether users are told apart by their tokens. Not where tokens are handed out: who
    /// has many would have as many limits.
    const BY_USER: bool = false;

    fn limiter(limiters: &Limiters) -> &Limiter;
}

pub(crate) enum Login {}
/// Changes of a password: at the pace of logins, but by user, whose token it takes. With a stolen one, many addresses
/// are no help in guessing.
pub(crate) enum Passwords {}
pub(crate) enum Register {}
pub(crate) enum Knocks {}
pub(crate) enum Connects {}
pub(crate) enum Writes {}
pub(crate) enum Reads {}

impl Group for Login {
    fn limiter(limiters: &Limiters) -> &Limiter {
        &limiters.login
    }
}

impl Group for Passwords {
    const BY_USER: bool = true;

    fn limiter(limiters: &Limiters) -> &Limiter {
        &limiters.login
    }
}

impl Group for Register {
    fn limiter(limiters: &Limiters) -> &Limiter {
        &limiters.register
    }
}

impl Group for Knocks {
    fn limiter(limiters: &Limiters) -> &Limiter {
        &limiters.knocks
    }
}

impl Group for Connects {
    fn limiter(limiters: &Limiters) -> &Limiter {
        &limiters.connects
    }
}

impl Group for Writes {
    const BY_USER: bool = true;

    fn limiter(limiters: &Limiters) -> &Limiter {
        &limiters.writes
    }
}

impl Group for Reads {
    const BY_USER: bool = true;

    fn limiter(limiters: &Limiters) -> &Limiter {
        &limiters.reads
    }
}

/// Proof that the client is within the limit of the group.
pub(crate) struct Limited<G>(PhantomData<G>);

#[rocket::async_trait]
impl<'r, G: Group> FromRequest<'r> for Limited<G> {
    type Error = Refused;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Refused> {
        let Some(limits) = request.rocket().state::<RateLimits>() else { return Outcome::Success(Self(PhantomData)) };
        let user = if G::BY_USER { Caller::of(request).await.as_ref().ok() } else { None };
        let client = user.map_or_else(|| ClientAddress::of(request).network(), |caller| caller.id.to_string());
        match limits.check_request::<G>(request, &client).await {
            Ok(()) => Outcome::Success(Self(PhantomData)),
            Err(error) => refuse(request, error),
        }
    }
}

/// Connects to Redis, and forgets clients that have been away for long enough, so that memory does not grow with
/// their number.
pub(crate) fn upkeep() -> AdHoc {
    AdHoc::on_liftoff("Upkeep of rate limits", |rocket| {
        Box::pin(async move {
            let mut shutdown = rocket.shutdown();
            let Some(RateLimits(Some(limiters))) = rocket.state() else { return };
            let limiters = Arc::clone(limiters);
            tokio::spawn(async move {
                limiters.shared.connect().await;
                while tokio::time::timeout(FORGET_EVERY, &mut shutdown).await.is_err() {
                    let Limiters {
                        shared: _,
                        login,
                        login_account,
                        login_strangers,
                        known_for: _,
                        register,
                        knocks,
                        connects,
                        writes,
                        reads,
                    } = &*limiters;
                    for limiter in [login, login_account, login_strangers, register, knocks, connects, writes, reads] {
                        limiter.forget();
                    }
                }
            });
        })
    })
}
