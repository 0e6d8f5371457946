//! Installs the servers that are missing, after asking.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context;
use nix::unistd::geteuid;

use super::servers::{find_postgres, find_redis};
use crate::exit::{Exit, Failure};
use crate::output;

/// Which servers are needed.
#[derive(Debug, Clone)]
pub(crate) struct Needed {
    pub(crate) postgres: bool,
    /// The major version that data of before were made with.
    pub(crate) postgres_version: Option<String>,
    pub(crate) redis: bool,
}

/// Where the servers are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// The folder with PostgreSQL's programs.
    pub(crate) postgres: Option<PathBuf>,
    /// The program of Redis.
    pub(crate) redis: Option<PathBuf>,
}

impl Found {
    /// Whether no server of our own is to be run.
    pub(crate) fn is_empty(&self) -> bool {
        self.postgres.is_none() && self.redis.is_none()
    }
}

/// Finds the servers, and installs those that are missing: after a question on
/// the terminal, or with `yes` at once.
pub(crate) fn find_or_install(needed: &Needed, yes: bool) -> Result<Found, Failure> {
    let (found, missing) = find(needed)?;
    if missing.is_empty() {
        return Ok(found);
    }
    let names = missing.join(" and ");
    let Some(command) = install_command(&missing) else {
        return Err(Failure::new(Exit::Refused, format!("not installed: {names}"))
            .next("install `postgres` with `initdb` (PostgreSQL 15 or newer) and `redis-server` (7 or newer)"));
    };
    if !yes && !ask(&names, &command)? {
        return Err(Failure::new(Exit::Refused, format!("not installed: {names}"))
            .next(format!("run `{command}`, or let shopctl do it with `--yes`")));
    }
    install(&command)?;
    match find(needed)? {
        (found, missing) if missing.is_empty() => Ok(found),
        _ => Err(Failure::new(Exit::Failed, format!("still not found after `{command}`: {names}"))),
    }
}

fn find(needed: &Needed) -> Result<(Found, Vec<&'static str>), Failure> {
    let mut found = Found::default();
    let mut missing = Vec::new();
    if needed.postgres {
        found.postgres = find_postgres(needed.postgres_version.as_deref());
        match (&found.postgres, &needed.postgres_version) {
            (None, Some(version)) if find_postgres(None).is_some() => return Err(other_version(version)),
            (None, _) => missing.push("PostgreSQL"),
            (Some(_), _) => {}
        }
    }
    if needed.redis {
        found.redis = find_redis();
        if found.redis.is_none() {
            missing.push("Redis");
        }
    }
    Ok((found, missing))
}

fn other_version(version: &str) -> Failure {
    Failure::new(Exit::Refused, format!("the data are of PostgreSQL {version}, but another version is installed"))
        .next(format!("install PostgreSQL {version}, or start from nothing with another `--dir`"))
}

/// The shell command that installs what is missing, where we know one.
fn install_command(missing: &[&str]) -> Option<String> {
    let packages = |postgres: &str, redis: &str| {
        let name = |server: &&str| if *server == "Redis" { redis } else { postgres }.to_owned();
        missing.iter().map(name).collect::<Vec<_>>().join(" ")
    };
    if has_program("apt-get") {
        let sudo = if geteuid().is_root() { "" } else { "sudo " };
        // The run level keeps the packages from starting servers of their own.
        return Some(format!(
            "{sudo}apt-get update && {sudo}env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
             apt-get install -y --no-install-recommends {}",
            packages("postgresql", "redis-server")
        ));
    }
    has_program("brew").then(|| format!("brew install {}", packages("postgresql@17", "redis")))
}

fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Asks on the terminal; without one the answer is no.
fn ask(names: &str, command: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(false);
    }
    eprint!("{names} not installed. Run this now?\n  {command}\n[y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn install(command: &str) -> anyhow::Result<()> {
    output::note(format!("installing: {command}"));
    // What it prints is for people: stdout is kept for data.
    let status = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::inherit())
        .stdout(Stdio::from(io::stderr()))
        .status()
        .with_context(|| format!("cannot run `{command}`"))?;
    anyhow::ensure!(status.success(), "`{command}` failed ({status})");
    Ok(())
}
