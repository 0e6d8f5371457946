//! `pgbench`, PostgreSQL's own load generator: what the database does when nothing but a script stands before it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;

use crate::load::Latencies;

/// What a script came to.
#[derive(Debug)]
pub struct Ran {
    /// Transactions a second, without the time to connect.
    pub per_second: f64,
    /// Of all transactions.
    pub latencies: Latencies,
}

/// Runs a script on so many connections for so long, each transaction as soon as the one before has ended. Statements are prepared.
///
/// # Errors
/// When `pgbench` is not there, or a transaction fails.
pub async fn run(url: &str, script: &str, clients: usize, time: Duration) -> anyhow::Result<Ran> {
    until(url, script, clients, &format!("--time={}", time.as_secs())).await
}

/// The same, but each connection runs the script so many times.
///
/// # Errors
/// When `pgbench` is not there, or a transaction fails.
pub async fn times(url: &str, script: &str, clients: usize, times: usize) -> anyhow::Result<Ran> {
    until(url, script, clients, &format!("--transactions={times}")).await
}

async fn until(url: &str, script: &str, clients: usize, end: &str) -> anyhow::Result<Ran> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("script.sql");
    fs::write(&file, script)?;
    let log = folder.path().join("log");
    let output = Command::new(program().await)
        .args(["--no-vacuum", "--protocol=prepared", "--log"])
        .arg(format!("--client={clients}"))
        .arg(format!("--jobs={}", clients.min(2)))
        .arg(end)
        .arg(format!("--log-prefix={}", log.display()))
        .arg(format!("--file={}", file.display()))
        .arg(url)
        .output()
        .await
        .context(
            "cannot run pgbench, which comes with PostgreSQL (on Debian, the package postgresql-contrib or postgresql)",
        )?;
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    anyhow::ensure!(output.status.success() && !errors.contains("aborted"), "pgbench has failed: {errors}");
    Ok(Ran {
        per_second: rate(&text).with_context(|| format!("pgbench says no rate: {text}{errors}"))?,
        latencies: latencies(folder.path())?,
    })
}

/// Beside the other programs of PostgreSQL, where it says where these are; else wherever it is found.
async fn program() -> PathBuf {
    let folder = Command::new("pg_config").arg("--bindir").output().await.ok();
    let beside = folder.map(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("pgbench"));
    beside.filter(|program| program.is_file()).unwrap_or_else(|| "pgbench".into())
}

fn rate(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
}

/// The third column of each log is the time of a transaction in µs.
fn latencies(folder: &Path) -> anyhow::Result<Latencies> {
    let mut times = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log")) {
            let text = fs::read_to_string(path)?;
            times.extend(
                text.lines().filter_map(|line| line.split(' ').nth(2)?.parse().ok()).map(Duration::from_micros),
            );
        }
    }
    Ok(Latencies::new(times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_prints_and_logs_is_read() {
        let text = "number of transactions actually processed: 7\ntps = 4173.25 (without initial connection time)\n";
        assert_eq!(rate(text), Some(4173.25));
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("log.7"), "0 1 500 0 17 5\n0 2 700 0 17 6\n").unwrap();
        fs::write(folder.path().join("log.7.1"), "1 1 600 0 17 5\n").unwrap();
        let latencies = latencies(folder.path()).unwrap();
        assert_eq!((latencies.count(), latencies.quantile(500)), (3, Duration::from_micros(600)));
    }
}
