//! The shop that a command works on: the servers of the environment, or those of the stack that runs here.

use std::path::Path;
use std::time::Duration;

use shop_common::config::{self, Settings};
use shop_common::db;
use shop_common::id::JobId;
use shop_common::jobs::queue::Queue;
use shop_common::redis::Redis;
use shop_common::verify::Ledger;
use sqlx::PgPool;

use crate::exit::{Exit, Failure};
use crate::output;
use crate::stack::databases::Urls;
use crate::stack::state::find_running;

/// Connections to a shop. They connect when they are first used.
pub(crate) struct Shop {
    pub(crate) pool: PgPool,
    pub(crate) redis: Redis,
    redis_settings: config::Redis,
    /// How long a silent worker keeps its jobs.
    pub(crate) lease: Duration,
    /// How long an access token lives.
    pub(crate) token_lifetime: Duration,
    /// Whether this is (or becomes) a shop for production.
    pub(crate) production: bool,
    /// Where the gateway answers; `None` where it is built in.
    pub(crate) gateway_url: Option<String>,
    /// Where the gateway keeps its books.
    pub(crate) ledger: Ledger,
}

impl Shop {
    /// The shop that `DATABASE_URL` and `REDIS_URL` name, or else the one that runs in `dir`.
    pub(crate) fn find(dir: &Path) -> Result<Self, Failure> {
        // A database that the environment names is not the stack's, whatever runs here.
        let named = ["DATABASE_URL", "DATABASE_URL_FILE"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        let running = find_running(dir).filter(|_| !named);
        // The gateway is the one that the workers were started with, unless the environment of this command names another.
        let gateway_url = running.as_ref().and_then(|state| state.gateway_url.clone());
        let urls = running.map(|state| Urls { database: state.database_url, redis: state.redis_url });
        Self::open_with(urls.as_ref(), gateway_url).map_err(|failure| {
            failure.next(format!(
                "start a shop with `shopctl up`, or name the folder of one with --dir (here: {})",
                dir.display()
            ))
        })
    }

    /// The shop on those servers, where the environment names no others.
    ///
    /// A private stack is for development, and any other shop for production, unless `ROCKET_PROFILE` says otherwise.
    pub(crate) fn open(private: Option<&Urls>) -> Result<Self, Failure> {
        Self::open_with(private, None)
    }

    fn open_with(private: Option<&Urls>, gateway_url: Option<String>) -> Result<Self, Failure> {
        let named = std::env::var_os("ROCKET_PROFILE").is_some();
        let production = if named { config::is_production() } else { private.is_none() };
        let fallback =
            private.map(|urls| [("DATABASE_URL", urls.database.as_str()), ("REDIS_URL", urls.redis.as_str())]);
        let (_, settings) = config::load_or(fallback.as_ref().map_or(&[], |urls| urls.as_slice()))
            .map_err(|error| Failure::new(Exit::Refused, error))?;
        let Settings { databases, mut gateway, worker, auth, .. } = settings;
        gateway.url = gateway.url.or(gateway_url);
        let (pool, redis) = (db::pool(&databases.pg)?, Redis::connect(&databases.redis)?);
        let ledger = Ledger::of(&gateway);
        let (redis_settings, lease, token_lifetime) = (databases.redis, worker.lease(), auth.token_lifetime());
        let gateway_url = gateway.url;
        Ok(Self { pool, redis, redis_settings, production, ledger, gateway_url, lease, token_lifetime })
    }

    /// Another connection to Redis, which hears what is published on the channels that it subscribes to.
    pub(crate) fn listen(&self, hear: impl Fn() + Send + Sync + 'static) -> Result<Redis, Failure> {
        Ok(Redis::connect_listening(&self.redis_settings, move |_| hear())?)
    }

    /// Tells the workers of jobs that the table has for now. What Redis does not hear, they find by themselves.
    pub(crate) async fn enqueue(&self, jobs: &[JobId]) {
        if let Err(error) = Queue::new(self.redis.clone()).enqueue(jobs).await {
            output::note(format!("Redis does not answer ({error}); the workers schedule the jobs when it does"));
        }
    }
}

/// An error of the database, with the exit code and the next step of a server that is away, if that is what it is.
pub(crate) fn database(error: sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
            Failure::new(Exit::Away, format!("PostgreSQL does not answer: {error}"))
                .next("look at `shopctl status`, or check DATABASE_URL")
        }
        // No such table, or no such column.
        sqlx::Error::Database(ref refused) if matches!(refused.code().as_deref(), Some("42P01" | "42703")) => {
            behind(&error)
        }
        sqlx::Error::ColumnNotFound(_) => behind(&error),
        error => error.into(),
    }
}

fn behind(error: &sqlx::Error) -> Failure {
    Failure::new(Exit::Refused, format!("the schema is missing or older than this program: {error}"))
        .next("run `shopctl migrate run`")
}
