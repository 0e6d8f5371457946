//! A PostgreSQL of our own: how its cluster is made, how it is run, and when it
//! can be used.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::Context;
use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection};
use tokio::process::Command;

use super::account::{Account, hand_over, private_folder};
use super::service::{Kind, Service, end_with_us, run_as};
use super::supervisor::Supervisor;
use super::{files, probe};

/// The superuser, and the name of the shop's database.
const NAME: &str = "shop";

/// PostgreSQL takes locales from the system; macOS has no `C.UTF-8`.
const LOCALE: &str = if cfg!(target_os = "macos") { "C" } else { "C.UTF-8" };

/// A private PostgreSQL.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    /// The folder with `initdb` and `postgres`.
    pub(crate) programs: PathBuf,
    /// The folder of its data.
    pub(crate) cluster: PathBuf,
    pub(crate) account: Option<Account>,
    pub(crate) port: u16,
    pub(crate) password: String,
    /// Whether its data are wanted again after it has stopped.
    pub(crate) lasting: bool,
}

impl Postgres {
    /// The URL of the shop's database.
    pub(crate) fn url(&self) -> String {
        self.url_of(NAME)
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://{NAME}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Makes the cluster unless it is there; says whether it did.
    pub(crate) async fn init(&self, supervisor: &Supervisor) -> anyhow::Result<bool> {
        if version_of(&self.cluster)?.is_some() {
            return Ok(false);
        }
        // Made beside and renamed when it is whole, so that an interrupted
        // start leaves no half cluster that the next one would use.
        let draft = self.cluster.with_extension("new");
        if draft.exists() {
            fs::remove_dir_all(&draft).with_context(|| format!("cannot remove {}", draft.display()))?;
        }
        private_folder(&draft, self.account)?;
        self.make_cluster(&draft, supervisor).await?;
        fs::rename(&draft, &self.cluster).with_context(|| format!("cannot make {}", self.cluster.display()))?;
        Ok(true)
    }

    async fn make_cluster(&self, folder: &Path, supervisor: &Supervisor) -> anyhow::Result<()> {
        // By a file, because arguments can be read by everybody.
        let password = self.cluster.with_extension("password");
        let keep_password = || {
            files::write_private(&password, self.password.as_bytes())?;
            hand_over(&password, self.account)
        };
        keep_password().with_context(|| format!("cannot write {}", password.display()))?;
        let mut command = self.initdb(folder);
        command.args(["--no-sync", "--encoding", "UTF8", "--locale", LOCALE, "--auth", "scram-sha-256"]);
        command.args(["--username", NAME, "--pwfile"]).arg(&password);
        let output = supervisor.run(Kind::Postgres, command).await;
        files::remove_if_there(&password)?;
        check(&output.context("cannot run initdb")?)
    }

    /// Writes a new cluster through to the disk, which `--no-sync` left to the
    /// system. May go on while the server already starts.
    pub(crate) async fn sync(&self, supervisor: &Supervisor) -> anyhow::Result<()> {
        let mut command = self.initdb(&self.cluster);
        command.arg("--sync-only");
        check(&supervisor.run(Kind::Postgres, command).await.context("cannot run initdb")?)
    }

    fn initdb(&self, folder: &Path) -> Command {
        let mut command = Command::new(self.programs.join("initdb"));
        // The account may not be able to be where we are.
        command.arg("--pgdata").arg(folder).current_dir(folder);
        run_as(&mut command, self.account);
        end_with_us(&mut command, Signal::SIGTERM);
        command
    }

    /// The server as a service.
    pub(crate) fn service(&self) -> Service {
        let mut args: Vec<OsString> = vec!["-D".into(), self.cluster.clone().into()];
        let max_connections = if self.lasting { 200 } else { 300 };
        let settings = [
            format!("port={}", self.port),
            format!("max_connections={max_connections}"),
            "listen_addresses=127.0.0.1".to_owned(),
            // TCP is enough, and a socket's path may only be 107 bytes long.
            "unix_socket_directories=".to_owned(),
            // The shop reports what its own statements run into.
            "log_min_messages=log".to_owned(),
            "log_checkpoints=off".to_owned(),
            "log_line_prefix=%t ".to_owned(),
        ];
        for setting in settings {
            args.extend(["-c".into(), setting.into()]);
        }
        Service {
            kind: Kind::Postgres,
            name: "postgres".to_owned(),
            program: self.programs.join("postgres"),
            args,
            envs: Vec::new(),
            folder: Some(self.cluster.clone()),
            account: self.account,
            // Data that are thrown away need no last checkpoint.
            stop: if self.lasting { Kind::Postgres.stop_signal() } else { Signal::SIGQUIT },
        }
    }

    /// Waits until the server takes connections, and makes sure that the
    /// shop's database is there.
    pub(crate) async fn open(&self) -> anyhow::Result<()> {
        let mut connection = probe::until(async || self.connect().await).await?;
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'shop')")
            .fetch_one(&mut connection)
            .await?;
        if !exists {
            sqlx::query("CREATE DATABASE shop").execute(&mut connection).await?;
        }
        Ok(connection.close().await?)
    }

    /// `None` while it is too early, an error where waiting does not help.
    async fn connect(&self) -> Option<sqlx::Result<PgConnection>> {
        // Early connections are refused with a FATAL line in the log: look at
        // what the server says in its own file first.
        if !says_ready(&self.cluster) {
            return None;
        }
        match PgConnection::connect(&self.url_of("postgres")).await {
            Err(sqlx::Error::Io(_)) => None,
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("57P03") => None,
            result => Some(result),
        }
    }
}

/// The major version that made a cluster, or `None` if there is no cluster.
pub(crate) fn version_of(cluster: &Path) -> anyhow::Result<Option<String>> {
    let path = cluster.join("PG_VERSION");
    let version = files::read_if_there(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(version.map(|version| version.trim().to_owned()))
}

/// Whether the eighth line of the server's lock file says so, as `pg_ctl` asks.
fn says_ready(cluster: &Path) -> bool {
    let lock = fs::read_to_string(cluster.join("postmaster.pid")).unwrap_or_default();
    lock.lines().nth(7).is_some_and(|status| status.trim() == "ready")
}

fn check(output: &Output) -> anyhow::Result<()> {
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "initdb failed ({}): {}", output.status, errors.trim());
    Ok(())
}
