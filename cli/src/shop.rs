//! The shop that a command works on: the servers of the environment, or those of the stack that runs here.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use shop_common::config::{self, ConfigError};
use shop_common::db;
use shop_common::id::JobId;
use shop_common::jobs::queue::Queue;
use shop_common::redis::Redis;
use shop_common::verify::Ledger;
use sqlx::PgPool;

use crate::exit::{Exit, Failure};
use crate::output;
use crate::settings::{Here, refused};
use crate::stack::databases::Urls;

/// Connections to a shop. They connect when they are first used, and what a command does not use need not be set.
pub(crate) struct Shop {
    pub(crate) pool: PgPool,
    redis: Result<config::Redis, ConfigError>,
    connection: OnceLock<Redis>,
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
        Self::open(&Here::find(dir)?)
    }

    /// The shop on those servers, where the environment names no others.
    pub(crate) fn on(private: &Urls) -> Result<Self, Failure> {
        Self::open(&Here::of(private)?)
    }

    fn open(here: &Here) -> Result<Self, Failure> {
        let Here { figment, production, .. } = here;
        let postgres: config::Postgres = config::section(figment, "databases.pg").map_err(refused)?;
        let gateway: config::Gateway = config::section(figment, "gateway").map_err(refused)?;
        let worker: config::Worker = config::section(figment, "worker").map_err(refused)?;
        let auth: config::Auth = config::section(figment, "auth").map_err(refused)?;
        Ok(Self {
            pool: db::pool(&postgres)?,
            redis: config::section(figment, "databases.redis"),
            connection: OnceLock::new(),
            lease: worker.lease(),
            token_lifetime: auth.token_lifetime(),
            production: *production,
            ledger: Ledger::of(&gateway),
            gateway_url: gateway.url,
        })
    }

    /// Redis, for a command that needs it.
    pub(crate) fn redis(&self) -> Result<Redis, Failure> {
        if let Some(redis) = self.connection.get() {
            return Ok(redis.clone());
        }
        let redis = Redis::connect(self.redis_settings()?)?;
        Ok(self.connection.get_or_init(|| redis).clone())
    }

    fn redis_settings(&self) -> Result<&config::Redis, Failure> {
        self.redis
            .as_ref()
            .map_err(|error| Failure::new(Exit::Refused, error).next("this command needs Redis: name it"))
    }

    /// Another connection to Redis, which hears what is published on the channels that it subscribes to.
    pub(crate) fn listen(&self, hear: impl Fn() + Send + Sync + 'static) -> Result<Redis, Failure> {
        Ok(Redis::connect_listening(self.redis_settings()?, move |_| hear())?)
    }

    /// Tells the workers of jobs that the table has for now, and gives whether Redis has heard. What it does not hear,
    /// they find by themselves.
    pub(crate) async fn enqueue(&self, jobs: &[JobId]) -> bool {
        let told = match self.redis() {
            Ok(redis) => Queue::new(redis).enqueue(jobs).await.map_err(|error| error.to_string()),
            Err(_) => Err("REDIS_URL is not set".to_owned()),
        };
        match told {
            Ok(()) => true,
            Err(error) => {
                output::note(format!("Redis does not answer ({error}); the workers schedule the jobs when it does"));
                false
            }
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
