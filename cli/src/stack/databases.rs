//! The two servers a shop needs: given by the environment, or private.

use std::path::Path;

use anyhow::Context;

use super::account::Account;
use super::home::Home;
use super::install::{Found, Needed, find_or_install};
use super::ports::Ports;
use super::postgres::{Postgres, version_of};
use super::probe;
use super::redis::Redis;
use super::remembered::Remembered;
use super::service::Kind;
use super::state::ServiceState;
use super::supervisor::Supervisor;
use crate::exit::{Exit, Failure};

/// Where the two servers are reached.
#[derive(Debug, Clone)]
pub(crate) struct Urls {
    pub(crate) database: String,
    pub(crate) redis: String,
}

/// The two servers: ours where one is set, given where not.
#[derive(Debug)]
pub(crate) struct Databases {
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    urls: Urls,
}

impl Databases {
    /// The servers of a lasting shop, with their data and what has to be
    /// remembered of them below its home.
    pub(crate) fn lasting(home: &Home, site: &Site, ports: &mut Ports) -> Result<Self, Failure> {
        if site.found.is_empty() {
            // Nothing is ours, so there is nothing to keep.
            return Ok(Self::new(home.path(), site, &mut Remembered::fresh(), ports, true)?);
        }
        let data = home.data(site.account)?;
        let has_data = version_of(&data.join("postgres"))?.is_some();
        let mut remembered = Remembered::load(home.path(), has_data)?;
        let databases = Self::new(&data, site, &mut remembered, ports, true)?;
        remembered.save(home.path())?;
        Ok(databases)
    }

    /// Servers whose data in `data` are thrown away afterwards.
    pub(crate) fn temporary(data: &Path, site: &Site) -> anyhow::Result<Self> {
        Self::new(data, site, &mut Remembered::fresh(), &mut Ports::default(), false)
    }

    fn new(data: &Path, site: &Site, known: &mut Remembered, ports: &mut Ports, lasting: bool) -> anyhow::Result<Self> {
        let mut postgres = None;
        if let Some(programs) = site.found.postgres.clone() {
            let port = ports.pick(known.postgres_port)?;
            known.postgres_port = Some(port);
            let (cluster, password) = (data.join("postgres"), known.postgres_password.clone());
            postgres = Some(Postgres { programs, cluster, account: site.account, port, password, lasting });
        }
        let mut redis = None;
        if let Some(program) = site.found.redis.clone() {
            let port = ports.pick(known.redis_port)?;
            known.redis_port = Some(port);
            let (folder, password) = (data.join("redis"), known.redis_password.clone());
            redis = Some(Redis { program, folder, account: site.account, port, password, lasting });
        }
        let database = postgres.as_ref().map(Postgres::url).or_else(|| site.given.database.clone());
        let redis_url = redis.as_ref().map(Redis::url).or_else(|| site.given.redis.clone());
        let urls = Urls {
            database: database.context("there is no PostgreSQL")?,
            redis: redis_url.context("there is no Redis")?,
        };
        Ok(Self { postgres, redis, urls })
    }

    /// Where the servers are reached.
    pub(crate) fn urls(&self) -> &Urls {
        &self.urls
    }

    /// Both servers as `status` shows them.
    pub(crate) fn states(&self) -> Vec<ServiceState> {
        let state = |name: &str, kind, url: &str, port| ServiceState {
            name: name.to_owned(),
            kind,
            process: None,
            address: probe::address_of(url, port),
        };
        vec![
            state("postgres", Kind::Postgres, &self.urls.database, 5432),
            state("redis", Kind::Redis, &self.urls.redis, 6379),
        ]
    }

    /// Makes sure that given servers are there at all, before anything else is
    /// started for them.
    pub(crate) async fn reach_given(&self) -> Result<(), Failure> {
        if self.postgres.is_none() {
            reach("PostgreSQL", "DATABASE_URL", &self.urls.database, 5432).await?;
        }
        if self.redis.is_none() {
            reach("Redis", "REDIS_URL", &self.urls.redis, 6379).await?;
        }
        Ok(())
    }

    /// Starts the private servers, side by side, and waits until they can be
    /// used.
    pub(crate) async fn open(&self, supervisor: &Supervisor) -> anyhow::Result<()> {
        tokio::try_join!(self.open_postgres(supervisor), self.open_redis(supervisor))?;
        Ok(())
    }

    async fn open_postgres(&self, supervisor: &Supervisor) -> anyhow::Result<()> {
        let Some(postgres) = &self.postgres else { return Ok(()) };
        let is_new = postgres.init(supervisor).await.context("cannot make a database cluster")?;
        let opened = supervisor.start(postgres.service()).until(postgres.open());
        if is_new && postgres.lasting {
            tokio::try_join!(opened, postgres.sync(supervisor))?;
        } else {
            opened.await?;
        }
        Ok(())
    }

    async fn open_redis(&self, supervisor: &Supervisor) -> anyhow::Result<()> {
        let Some(redis) = &self.redis else { return Ok(()) };
        redis.configure()?;
        supervisor.start(redis.service()).until(redis.open()).await
    }
}

async fn reach(server: &str, variable: &str, url: &str, port: u16) -> Result<(), Failure> {
    match probe::address_of(url, port) {
        Some(address) if !probe::listens(&address).await => {
            Err(Failure::new(Exit::Away, format!("{server} does not answer at {address}"))
                .next(format!("start it, correct {variable}, or unset {variable} for a private server")))
        }
        _ => Ok(()),
    }
}

/// What this machine and the environment offer.
#[derive(Debug)]
pub(crate) struct Site {
    given: Given,
    found: Found,
    account: Option<Account>,
}

impl Site {
    /// Looks around; installs what is missing, with `yes` without asking.
    /// `cluster` is the folder of an earlier PostgreSQL, if there was one.
    pub(crate) fn survey(given: Given, cluster: Option<&Path>, yes: bool) -> Result<Self, Failure> {
        let needed = Needed {
            postgres: given.database.is_none(),
            postgres_version: cluster.map(version_of).transpose()?.flatten(),
            redis: given.redis.is_none(),
        };
        let found = find_or_install(&needed, yes)?;
        // Only now: installing PostgreSQL makes the account, too.
        let account = if needed.postgres || needed.redis { Account::for_servers()? } else { None };
        Ok(Self { given, found, account })
    }

    /// The account that private servers run under.
    pub(crate) fn account(&self) -> Option<Account> {
        self.account
    }
}

/// Servers named by the environment.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) database: Option<String>,
    pub(crate) redis: Option<String>,
}

impl Given {
    /// Reads DATABASE_URL and REDIS_URL; an empty one counts as not set.
    pub(crate) fn from_env() -> Self {
        let read = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
        Self { database: read("DATABASE_URL"), redis: read("REDIS_URL") }
    }
}
