//! The rival BullMQ: jobs that do nothing, with no database beside Redis.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use shop_bench_kit::options::Options;
use shop_bench_kit::report::Report;
use tokio::process::Command;

use crate::measure::{RATE, jobs};

/// Where it is.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rival");
/// The best of all settings.
pub(crate) const BEST: &str = "BullMQ, no-op";
/// Processes, and jobs that each has in hand at the same time.
const SETTINGS: [(usize, usize); 6] = [(1, 1), (1, 16), (1, 64), (1, 256), (2, 64), (2, 256)];

/// What one process did, and from when to when, in ms.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Drained {
    jobs: usize,
    first: f64,
    last: f64,
}

/// Tries all settings, and notes the best.
pub(crate) async fn measure(options: &Options, work: &str, report: &mut Report) -> anyhow::Result<()> {
    anyhow::ensure!(
        Path::new(FOLDER).join("node_modules").is_dir(),
        "BullMQ is not there: npm ci --prefix bench/work/rival"
    );
    let jobs = jobs(options);
    let (mut best, mut how) = (0.0, String::new());
    for (processes, concurrency) in SETTINGS {
        run(options, ["fill", &jobs.to_string()]).await?;
        let rate = drain(options, processes, concurrency, jobs).await?;
        eprintln!("  {work} · BullMQ, {processes} × {concurrency}: {rate:.0} jobs/s");
        if rate > best {
            (best, how) = (rate, format!("{processes} × {concurrency}"));
        }
    }
    report.set("BullMQ's processes × concurrency", how);
    report.add(work, BEST, RATE, best);
    Ok(())
}

/// Jobs a second of so many processes.
async fn drain(options: &Options, processes: usize, concurrency: usize, jobs: usize) -> anyhow::Result<f64> {
    let concurrency = concurrency.to_string();
    let one = || run(options, ["drain", &concurrency]);
    let texts = if processes == 1 {
        vec![one().await?]
    } else {
        let (first, second) = tokio::try_join!(one(), one())?;
        vec![first, second]
    };
    let drained: Vec<Drained> =
        texts.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>().context("reading what it did")?;
    let done: usize = drained.iter().map(|one| one.jobs).sum();
    anyhow::ensure!(done == jobs, "it has done {done} of {jobs} jobs");
    rate(&drained).context("it has done nothing")
}

/// From the first that began until the last that ended.
fn rate(drained: &[Drained]) -> Option<f64> {
    let jobs: usize = drained.iter().map(|one| one.jobs).sum();
    let worked = || drained.iter().filter(|one| one.jobs > 0);
    let first = worked().map(|one| one.first).reduce(f64::min)?;
    let last = worked().map(|one| one.last).reduce(f64::max)?;
    Some(jobs as f64 * 1000.0 / (last - first))
}

async fn run(options: &Options, arguments: [&str; 2]) -> anyhow::Result<String> {
    let output = Command::new("node")
        .arg("bull.mjs")
        .args(arguments)
        .current_dir(FOLDER)
        .env("NODE_ENV", "production")
        .env("REDIS_URL", &options.redis_url)
        .env("PREFIX", "bench_bull")
        .output()
        .await
        .context("cannot run node")?;
    anyhow::ensure!(output.status.success(), "BullMQ has failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_counted_together() {
        let one = |jobs, first, last| Drained { jobs, first, last };
        assert_eq!(rate(&[one(100, 0.0, 500.0), one(300, 100.0, 1000.0)]), Some(400.0));
        assert_eq!(rate(&[one(100, 10.0, 110.0), one(0, 0.0, 0.0)]), Some(1000.0));
        assert_eq!(rate(&[one(0, 0.0, 0.0)]), None);
    }
}
