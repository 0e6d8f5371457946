//! The settings of all three programs: `Rocket.toml`, overridden by the environment.
//!
//! The file of the repository is compiled in as the defaults, so that a binary
//! alone on a server knows every value and the file is their only list.

mod keys;
mod load;
mod origin;

use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;

pub use self::keys::UnknownKey;
pub use self::load::{ConfigError, check, figment, is_production, load, profile, section, with_stack};
pub use self::origin::{MASK, Origin, Setting, Source, all, mask_url};
use crate::money::Currency;

/// Everything that can be set, of the profile in force.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// Where the servers are.
    pub databases: Databases,
    /// How to log.
    pub log: Log,
    /// What holds for the whole shop.
    pub shop: Shop,
    /// Tokens and password hashing.
    pub auth: Auth,
    /// How orders are gathered into transactions.
    pub placement: Placement,
    /// What holds for every request.
    pub requests: Requests,
    /// Answers about products that an api keeps.
    pub catalogue: Catalogue,
    /// Live status.
    pub live: Live,
    /// How often each client may ask.
    pub rate_limits: RateLimits,
    /// Retries.
    pub jobs: Jobs,
    /// The worker daemon.
    pub worker: Worker,
    /// The payment gateway.
    pub gateway: Gateway,
}

/// Where the servers are.
#[derive(Debug, Clone, Deserialize)]
pub struct Databases {
    /// PostgreSQL.
    pub pg: Postgres,
    /// Redis.
    pub redis: Redis,
}

/// PostgreSQL: the truth.
#[derive(Debug, Clone, Deserialize)]
pub struct Postgres {
    /// `postgres://user:password@host:port/database`, from `DATABASE_URL`.
    pub url: SecretString,
    /// Connections of one process.
    pub max_connections: u32,
    /// How long to wait for a connection.
    pub connect_timeout_ms: u64,
    /// How long a statement waits for a lock.
    pub lock_timeout_ms: u64,
    /// How long a statement may run.
    pub statement_timeout_ms: u64,
    /// How long a transaction may be idle before the server ends it.
    pub idle_in_transaction_timeout_ms: u64,
}

/// Redis: the schedule and the wire.
#[derive(Debug, Clone, Deserialize)]
pub struct Redis {
    /// `redis://:password@host:port/0`, from `REDIS_URL`.
    pub url: SecretString,
    /// What all keys begin with.
    pub prefix: String,
    /// How long to wait for a connection or an answer.
    pub timeout_ms: u64,
}

/// Answers about products that an api keeps.
#[derive(Debug, Clone, Deserialize)]
pub struct Catalogue {
    /// How old what it shows may be when nobody has told it of a change, in milliseconds.
    pub fresh_ms: u64,
    /// How many bytes it keeps.
    pub kept_bytes: u64,
}

/// How to log.
#[derive(Debug, Clone, Deserialize)]
pub struct Log {
    /// For machines or for people.
    pub format: LogFormat,
    /// What is logged, in the syntax of tracing's `EnvFilter`.
    pub filter: String,
}

/// The two forms of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// A line that a person reads.
    Readable,
}

/// What holds for the whole shop.
#[derive(Debug, Clone, Deserialize)]
pub struct Shop {
    /// The one currency of all prices.
    pub currency: Currency,
}

/// Tokens and password hashing.
#[derive(Debug, Clone, Deserialize)]
pub struct Auth {
    /// Signs the tokens; from `JWT_SECRET`. Only the api needs it.
    pub jwt_secret: Option<SecretString>,
    /// The `iss` of a token.
    pub issuer: String,
    /// The `aud` of a token.
    pub audience: String,
    /// How long an access token is good, in seconds.
    pub token_seconds: u64,
    /// How long a refresh token is good, in seconds.
    pub refresh_seconds: u64,
    /// How long a session may go on, however often it is refreshed, in seconds.
    pub session_seconds: u64,
    /// Passwords that are hashed at the same time.
    pub hash_threads: usize,
    /// Passwords that may wait to be hashed.
    pub hash_queue: usize,
}

impl Auth {
    /// How long an access token is good.
    pub fn token_lifetime(&self) -> Duration {
        Duration::from_secs(self.token_seconds)
    }
}

/// How orders are gathered into transactions.
#[derive(Debug, Clone, Deserialize)]
pub struct Placement {
    /// Orders in one transaction, at most.
    pub group_orders: usize,
    /// Lines in one transaction, at most.
    pub group_lines: usize,
    /// Transactions at the same time.
    pub lanes: usize,
    /// Orders that may wait.
    pub queue: usize,
    /// How long a request waits for another one with the same key.
    pub key_wait_ms: u64,
}

impl Placement {
    /// Connections to PostgreSQL for placing orders. Twice as many as are used, so that a transaction that hangs does not stop
    /// the others.
    pub fn connections(&self) -> u32 {
        u32::try_from(self.lanes.max(1)).unwrap_or(u32::MAX).saturating_mul(2)
    }
}

/// What holds for every request.
#[derive(Debug, Clone, Deserialize)]
pub struct Requests {
    /// Requests that one api answers at the same time; more get 503.
    pub in_flight: usize,
    /// How long the body of a request may take to come.
    pub body_ms: u64,
    /// Networks of the proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
}

/// Live status: sockets, and the events that they are sent.
#[derive(Debug, Clone, Deserialize)]
pub struct Live {
    /// Origins of browser pages that may use the api from elsewhere, such as `https://shop.example`; `*` is any.
    pub origins: Vec<String>,
    /// How long events are kept, to be sent to who comes back.
    pub retention_seconds: u64,
    /// Sockets of one user in one api.
    pub sockets_per_user: usize,
    /// Sockets that one api lets in each second.
    pub connects_per_second: u32,
    /// How long a reader may take for one message before its socket is closed.
    pub slow_reader_ms: u64,
    /// How long a ticket is good.
    pub ticket_seconds: u64,
}

/// How often each client may ask, counted by all apis together.
#[derive(Debug, Clone, Deserialize)]
pub struct RateLimits {
    /// Off only for load tests.
    pub enabled: bool,
    /// How long a request waits for Redis before its api counts by itself.
    pub timeout_ms: u64,
    /// `POST /login`, by address.
    pub login: RateLimit,
    /// The same, for each account, by address.
    pub login_account: RateLimit,
    /// The same, for each account, by all addresses together that are not known for it.
    pub login_strangers: RateLimit,
    /// How long after a login its address is known for the account.
    pub known_address_seconds: u64,
    /// `POST /register`, by address.
    pub register: RateLimit,
    /// Tries to open a socket, by address.
    pub knocks: RateLimit,
    /// Sockets that are opened, by user.
    pub connects: RateLimit,
    /// Everything else that writes, by user.
    pub writes: RateLimit,
    /// What reads, by user, or by address without a good token.
    pub reads: RateLimit,
}

/// One limit.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct RateLimit {
    /// Requests a minute, in the long run.
    pub per_minute: NonZeroU32,
    /// Requests at once, by who has not asked for a while.
    pub burst: NonZeroU32,
}

/// When a job is tried again.
#[derive(Debug, Clone, Deserialize)]
pub struct Jobs {
    /// The first delay.
    pub base_ms: u64,
    /// The longest delay.
    pub cap_ms: u64,
    /// Answers of the gateway until an order has failed.
    pub max_attempts: i32,
    /// Age at which an order without a conclusive answer is closed by void.
    pub give_up_after_seconds: u64,
    /// Claims without an outcome until a job counts as poison.
    pub max_crashes: i32,
}

/// The worker daemon.
#[derive(Debug, Clone, Deserialize)]
pub struct Worker {
    /// Where it answers `/livez`, `/readyz` and `/metrics`.
    pub port: u16,
    /// Jobs at the gateway at the same time.
    pub concurrency: usize,
    /// How long a silent worker keeps its jobs.
    pub lease_ms: u64,
    /// How long a drain may take.
    pub grace_ms: u64,
}

impl Worker {
    /// Connections to PostgreSQL for claims and settlements, besides those for everything: two claims, two groups of
    /// settlements and a refund may be under way, and as many besides in case they hang.
    pub const CONNECTIONS: u32 = 10;

    /// How long a silent worker keeps its jobs.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }
}

/// The payment gateway.
#[derive(Debug, Clone, Deserialize)]
pub struct Gateway {
    /// Where the gateway answers over HTTP; the built-in simulated one where there is none.
    pub url: Option<String>,
    /// How long a charge of the simulated gateway takes.
    pub latency_ms: u64,
    /// Share of charges with method `test` that are approved, 0 to 1.
    pub success_rate: f64,
    /// Decides which ones.
    pub seed: u64,
    /// How long to wait for an answer.
    pub timeout_ms: u64,
    /// How often the gateway's ledger is compared with the payments; 0 means only when somebody asks for it.
    pub audit_every_seconds: u64,
    /// Refunds that audits ask for by themselves within a day; what is more is only reported.
    pub audit_refunds_at_most: u32,
}

#[cfg(test)]
mod tests {
    use figment::Figment;
    use figment::providers::{Format, Serialized, Toml};

    use super::load::DEFAULTS;
    use super::*;

    #[test]
    fn the_compiled_in_defaults_are_complete_but_for_the_servers() {
        let settings: Settings = Figment::new()
            .merge(Toml::string(DEFAULTS).nested())
            .merge(Serialized::global("databases.pg.url", "postgres://localhost/shop"))
            .merge(Serialized::global("databases.redis.url", "redis://localhost"))
            .select("production")
            .extract()
            .unwrap();

        assert_eq!(settings.jobs.max_attempts, 5);
        assert!(settings.rate_limits.enabled);
        assert_eq!(settings.log.format, LogFormat::Json);
    }

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        let url: Databases = Figment::new()
            .merge(Toml::string(DEFAULTS).nested())
            .merge(Serialized::global("databases.pg.url", "postgres://u:canary@localhost/shop"))
            .merge(Serialized::global("databases.redis.url", "redis://:canary@localhost"))
            .select("production")
            .extract_inner("databases")
            .unwrap();

        assert!(!format!("{url:?}").contains("canary"));
    }
}
