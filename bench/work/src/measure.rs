//! Measures what was asked for, run by run, and compares.

use std::time::Duration;

use anyhow::Context;
use shop_bench_kit::options::Options;
use shop_bench_kit::report::Report;

use crate::{backlog, lateness, queue, scaling, worker};

pub(crate) const SHOP: &str = "shop";
pub(crate) const PGBENCH: &str = "pgbench";
pub(crate) const RATE: &str = "jobs/s";
pub(crate) const POSTGRES: &str = "µs of CPU per job, PostgreSQL";
pub(crate) const REDIS: &str = "µs of CPU per job, Redis";
/// By the programs that are measured, the load and the servers.
pub(crate) const BUSY: &str = "cores kept busy";

/// Measures, and prints the report.
pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let mut report = Report::begin("work", options).await?;
    for run in 1..=options.runs.get() {
        eprintln!("run {run} of {}", options.runs);
        let mut rate = None;
        if options.wants(worker::NAME) {
            rate = Some(worker::measure(options, &mut report).await.context(worker::NAME)?);
        }
        if options.wants(queue::NAME) {
            queue::measure(options, &mut report).await.context(queue::NAME)?;
        }
        if options.wants(lateness::NAME) {
            lateness::measure(options, rate, &mut report).await.context(lateness::NAME)?;
        }
        if options.wants(backlog::NAME) {
            backlog::measure(options, &mut report).await.context(backlog::NAME)?;
        }
        if options.wants(scaling::NAME) {
            scaling::measure(options, &mut report).await.context(scaling::NAME)?;
        }
    }
    for judge in [worker::judge, queue::judge, lateness::judge, backlog::judge] {
        judge(&mut report);
    }
    report.end(options)
}

/// How many jobs are done, so that it takes about as long as asked for.
pub(crate) fn jobs(options: &Options) -> usize {
    4000 * options.seconds.get()
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub(crate) fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
