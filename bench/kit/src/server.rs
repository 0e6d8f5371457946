//! Servers as child processes.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long a server may take to start, and to stop.
const STARTING: Duration = Duration::from_secs(30);
const STOPPING: Duration = Duration::from_secs(20);

/// A running server; it is killed when it is let go of.
pub struct Server {
    child: Child,
    /// Its process id.
    pub pid: u32,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

impl Server {
    /// Starts a program, and waits until it says that it is ready, and on which port.
    ///
    /// # Errors
    /// When it cannot be started, or does not get ready within 30 s.
    pub async fn start(mut command: Command, ready: &str) -> anyhow::Result<Self> {
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

    /// Kills it.
    ///
    /// # Errors
    /// When there is nobody to kill.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// When there is nobody to ask.
    pub async fn stop(mut self) -> anyhow::Result<()> {
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
