//! PostgreSQL and Redis of the rig's own, which it may kill, wipe and starve.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

use super::process::Process;

/// How long a server may take to come up, crash recovery included.
const PATIENCE: Duration = Duration::from_secs(60);
/// The superuser and the database.
const NAME: &str = "shop";

/// The programs of the servers that run already (`DATABASE_URL`, `REDIS_URL`): the rig
/// starts copies of its own, so it need not know how servers are found and installed.
#[derive(Debug, Clone)]
pub struct Installed {
    postgres: PathBuf,
    redis: PathBuf,
    /// Whom PostgreSQL runs as: it refuses to run as root.
    account: (u32, u32),
}

impl Installed {
    /// Asks the running servers where their programs are.
    ///
    /// # Errors
    /// When one of them is not there.
    pub async fn ask(database_url: &str, redis_url: &str) -> anyhow::Result<Self> {
        let mut connection = PgConnection::connect(database_url).await.context("DATABASE_URL")?;
        let postgres: String = sqlx::query_scalar("SELECT setting FROM pg_config WHERE name = 'BINDIR'")
            .fetch_one(&mut connection)
            .await?;
        let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut connection).await?;
        let owner = fs::metadata(&data).with_context(|| format!("{data} is not on this machine"))?;
        let client = redis::Client::open(redis_url)?;
        let mut redis = client.get_multiplexed_async_connection().await.context("REDIS_URL")?;
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut redis).await?;
        let redis = info
            .lines()
            .find_map(|line| line.strip_prefix("executable:"))
            .map(|path| PathBuf::from(path.trim()))
            .context("Redis does not say where its program is")?;
        Ok(Self { postgres: postgres.into(), redis, account: (owner.uid(), owner.gid()) })
    }

    /// A command that runs as the servers' account.
    fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).stdin(Stdio::null()).process_group(0);
        if nix::unistd::Uid::effective().is_root() {
            command.uid(self.account.0).gid(self.account.1);
        }
        command
    }

    /// A folder that only the servers' account can read.
    fn folder(&self, path: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        if nix::unistd::Uid::effective().is_root() {
            chown(path, Some(self.account.0), Some(self.account.1))?;
        }
        Ok(())
    }
}

/// A PostgreSQL of the rig's own, with durable defaults.
#[derive(Debug)]
pub struct Postgres {
    installed: Installed,
    data: PathBuf,
    log: PathBuf,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    process: Process,
}

impl Postgres {
    /// Makes a cluster in that folder and starts it.
    ///
    /// # Errors
    /// When it cannot be made or started.
    pub async fn create(installed: &Installed, folder: &Path, log: &Path) -> anyhow::Result<Self> {
        let data = folder.join("postgres");
        installed.folder(&data)?;
        let made = installed
            .command(&installed.postgres.join("initdb"), &data)
            .arg("--pgdata")
            .arg(&data)
            .args(["--username", NAME, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .output()
            .context("cannot run initdb")?;
        ensure!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        let postgres = Self {
            installed: installed.clone(),
            data,
            log: log.join("postgres.log"),
            port: super::free_port()?,
            process: Process::default(),
        };
        postgres.start().await?;
        let mut connection = PgConnection::connect(&postgres.url_of("postgres")).await?;
        sqlx::query("CREATE DATABASE shop").execute(&mut connection).await?;
        Ok(postgres)
    }

    /// The URL of the shop's database, without a proxy between.
    pub fn url(&self) -> String {
        self.url_of(NAME)
    }

    /// The URL of another database.
    pub fn url_of(&self, database: &str) -> String {
        url(self.port, database)
    }

    /// Starts it unless it runs, and waits until it takes connections.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if !self.process.runs() {
                let log = append(&self.log)?;
                let mut command = self.installed.command(&self.installed.postgres.join("postgres"), &self.data);
                command
                    .arg("-D")
                    .arg(&self.data)
                    .args(["-c", &format!("port={}", self.port), "-c", "listen_addresses=127.0.0.1"])
                    .args(["-c", "unix_socket_directories=", "-c", "max_connections=300"])
                    .args(["-c", "max_wal_size=96MB", "-c", "min_wal_size=32MB"])
                    // A stop waits for clients that the network keeps from saying who they are.
                    .args(["-c", "authentication_timeout=3s"])
                    .stdout(log.try_clone()?)
                    .stderr(log);
                self.process.start(&mut command).context("cannot run postgres")?;
            }
            if PgConnection::connect(&self.url_of("postgres")).await.is_ok() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "PostgreSQL does not come up, see {}", self.log.display());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops it at once, without a checkpoint: the next start is a crash recovery.
    ///
    /// Waits without holding up the other faults of the round, which may be what it waits for.
    pub async fn stop_immediately(&self) {
        self.process.signal(Signal::SIGQUIT);
        while self.process.runs() {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Killed, it would leave its backends behind.
        self.process.end(Signal::SIGQUIT);
    }
}

/// The URL of a database behind a port of this machine.
pub fn url(port: u16, database: &str) -> String {
    format!("postgres://{NAME}@127.0.0.1:{port}/{database}")
}

/// A Redis of the rig's own, with an append-only file.
#[derive(Debug)]
pub struct Redis {
    installed: Installed,
    folder: PathBuf,
    log: PathBuf,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    process: Process,
}

impl Redis {
    /// Starts an empty one in that folder.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn create(installed: &Installed, folder: &Path, log: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("redis");
        installed.folder(&folder)?;
        let redis = Self {
            installed: installed.clone(),
            folder,
            log: log.join("redis.log"),
            port: super::free_port()?,
            process: Process::default(),
        };
        redis.start("noeviction").await?;
        Ok(redis)
    }

    /// Its URL, without a proxy between.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Starts it unless it runs, with what it still has, and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(&self, eviction: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if !self.process.runs() {
                let log = append(&self.log)?;
                let mut command = self.installed.command(&self.installed.redis, &self.folder);
                command
                    .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
                    .args(["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", eviction])
                    .stdout(log.try_clone()?)
                    .stderr(log);
                self.process.start(&mut command).context("cannot run redis-server")?;
            }
            if self.command(&["PING"]).await.is_ok() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "Redis does not come up, see {}", self.log.display());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// When it is away.
    pub async fn info(&self, section: &str) -> redis::RedisResult<String> {
        let mut connection = redis::Client::open(self.url())?.get_multiplexed_async_connection().await?;
        redis::cmd("INFO").arg(section).query_async(&mut connection).await
    }

    /// How many jobs it has on the schedule and under a lease.
    ///
    /// # Errors
    /// When it is away.
    pub async fn jobs(&self) -> redis::RedisResult<u64> {
        let mut connection = redis::Client::open(self.url())?.get_multiplexed_async_connection().await?;
        let mut jobs = 0;
        for key in ["{shop}:sched", "{shop}:lease"] {
            jobs += redis::cmd("ZCARD").arg(key).query_async::<u64>(&mut connection).await?;
        }
        Ok(jobs)
    }

    /// Sends it a command.
    ///
    /// # Errors
    /// When it is away or refuses.
    pub async fn command(&self, words: &[&str]) -> redis::RedisResult<()> {
        let mut connection = redis::Client::open(self.url())?.get_multiplexed_async_connection().await?;
        let mut command = redis::cmd(words.first().copied().unwrap_or_default());
        for word in words.iter().skip(1) {
            command.arg(*word);
        }
        command.query_async(&mut connection).await
    }

    /// Kills it without a word.
    pub fn kill(&self) {
        self.process.end(Signal::SIGKILL);
    }

    /// Throws away what it has written; it must not run.
    ///
    /// # Errors
    /// When the files cannot be removed.
    pub fn forget(&self) -> std::io::Result<()> {
        fs::remove_dir_all(self.folder.join("appendonlydir")).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })
    }
}

/// A log that goes on where it ended.
pub(super) fn append(path: &Path) -> std::io::Result<File> {
    File::options().create(true).append(true).open(path)
}
