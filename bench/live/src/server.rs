//! The servers that are measured, as child processes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::args::Args;
use crate::audience::{SECRET, TOKEN_SECONDS};

/// The folder of the rival.
pub(crate) const RIVAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rival");

/// How long a server may take to start, and to stop.
const STARTING: Duration = Duration::from_secs(30);
const STOPPING: Duration = Duration::from_secs(20);

/// A running server; it is killed when it is let go of.
pub(crate) struct Server {
    child: Child,
    /// Its process id.
    pub(crate) pid: u32,
    /// Where it listens on 127.0.0.1.
    pub(crate) port: u16,
}

/// Says what is missing, before anything is measured.
pub(crate) fn check_programs(programs: &Path) -> anyhow::Result<()> {
    let api = api(programs);
    anyhow::ensure!(api.is_file(), "{} is not there: cargo build --release --locked -p shop-api", api.display());
    let modules = Path::new(RIVAL).join("node_modules/socket.io");
    anyhow::ensure!(modules.is_dir(), "the rival is not installed: npm ci --prefix {RIVAL}");
    Ok(())
}

fn api(programs: &Path) -> PathBuf {
    programs.join("shop-api")
}

impl Server {
    /// Starts an api of the shop, on that database and under that prefix in Redis, with these settings besides.
    pub(crate) async fn shop(
        args: &Args,
        database: &str,
        prefix: &str,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(api(&args.programs));
        command
            .env("DATABASE_URL", database)
            .env("REDIS_URL", &args.redis_url)
            .env("ROCKET_DATABASES", format!("{{redis={{prefix=\"{prefix}\"}}}}"))
            .env("ROCKET_PROFILE", "development")
            .env("ROCKET_PORT", "0")
            .env("JWT_SECRET", SECRET)
            .env("ROCKET_AUTH", format!("{{token_seconds={TOKEN_SECONDS}}}"))
            .env("SHOP_LOG_FORMAT", "json")
            .env("SHOP_RATE_LIMITS", "off")
            .envs(settings.iter().copied());
        Self::start(command, "shop-api listens").await
    }

    /// Starts the rival, which hears of changes on that channel of Redis.
    pub(crate) async fn rival(redis: &str, channel: &str) -> anyhow::Result<Self> {
        let mut command = Command::new("node");
        command
            .arg("server.mjs")
            .current_dir(RIVAL)
            .env("NODE_ENV", "production")
            .env("REDIS_URL", redis)
            .env("CHANNEL", channel)
            .env("PORT", "0")
            .env("JWT_SECRET", SECRET);
        Self::start(command, "rival listens").await
    }

    /// Starts a program, and waits until it says that it is ready, and on which port.
    async fn start(mut command: Command, ready: &str) -> anyhow::Result<Self> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {program}"))?;
        let pid = child.id().context("the server has no process id")?;
        let stdout = child.stdout.take().context("the server has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let port = timeout(STARTING, port(&mut lines, ready))
            .await
            .map_err(anyhow::Error::from)
            .flatten()
            .with_context(|| format!("{program} does not get ready"))?;
        // Read on, or the program would block on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, pid, port })
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.pid)?), Signal::SIGTERM).context("stopping the server")?;
        if timeout(STOPPING, self.child.wait()).await.is_err() {
            eprintln!("note: the server did not stop within {} s and is killed", STOPPING.as_secs());
            self.child.kill().await?;
        }
        Ok(())
    }
}

/// The port of the line that says that the program is ready.
async fn port(lines: &mut Lines<BufReader<ChildStdout>>, ready: &str) -> anyhow::Result<u16> {
    while let Some(line) = lines.next_line().await? {
        let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
        if entry["message"] == ready {
            let port = entry["port"].as_u64().context("it does not say on which port")?;
            return Ok(u16::try_from(port)?);
        }
    }
    bail!("it has ended")
}
