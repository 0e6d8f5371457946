//! The queue alone: how fast jobs are claimed and acknowledged in Redis, when nothing is done with them.

use std::time::{Duration, Instant};

use shop_bench_kit::meter::{Meter, Spent};
use shop_bench_kit::options::Options;
use shop_bench_kit::report::{Hope, Report};
use shop_bench_kit::shop::Shop;
use shop_common::id::{BootId, JobId};
use shop_common::jobs::queue::Queue;
use tokio::task::JoinSet;

use crate::measure::{self, RATE, REDIS, SHOP};
use crate::raw;

pub(crate) const NAME: &str = "queue alone";
/// Jobs in one claim, as many as a worker takes at most.
pub(crate) const CLAIM: usize = 100;
/// How long nobody else may have them; longer than it all takes.
pub(crate) const LEASE: Duration = Duration::from_secs(3600);
/// Claims at the same time.
const TASKS: usize = 4;

/// Measures the shop's queue, then the same commands sent by Redis' own tools.
pub(crate) async fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let shop = Shop::open(options).await?;
    let measured = in_shop(options, &shop, report).await;
    shop.close().await?;
    measured
}

async fn in_shop(options: &Options, shop: &Shop, report: &mut Report) -> anyhow::Result<()> {
    let redis = options.redis(shop.prefix())?;
    let queue = Queue::new(redis.clone());
    let mut meter = Meter::new(std::process::id(), &shop.pool, redis.connection()).await?;
    let jobs = 50_000 * options.seconds.get();

    due_now(&queue, jobs).await?;
    let (before, begun) = (meter.read().await?, Instant::now());
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        tasks.spawn(drain(queue.clone()));
    }
    let mut done = 0;
    while let Some(ended) = tasks.join_next().await {
        done += ended??;
    }
    let (time, spent) = (begun.elapsed(), meter.read().await?.since(before));
    anyhow::ensure!(done == jobs, "{done} of {jobs} jobs were claimed");
    note(report, SHOP, jobs, time, spent);
    report.add(NAME, SHOP, "µs of CPU per job, client", measure::us(spent.server) / jobs as f64);
    raw::measure(options, &redis, &mut meter, jobs, report).await
}

pub(crate) fn note(report: &mut Report, subject: &str, jobs: usize, time: Duration, spent: Spent) {
    report.add(NAME, subject, RATE, jobs as f64 / time.as_secs_f64());
    report.add(NAME, subject, REDIS, measure::us(spent.redis) / jobs as f64);
}

/// Puts so many jobs on the schedule, all due now.
pub(crate) async fn due_now(queue: &Queue, jobs: usize) -> anyhow::Result<Vec<JobId>> {
    let ids: Vec<JobId> = std::iter::repeat_with(JobId::new).take(jobs).collect();
    let now: Vec<_> = ids.iter().map(|job| (*job, Duration::ZERO)).collect();
    queue.schedule(&now).await?;
    Ok(ids)
}

/// Claims and acknowledges until nothing is due. Gives how many jobs that were.
pub(crate) async fn drain(queue: Queue) -> anyhow::Result<usize> {
    let (boot, mut done) = (BootId::new(), 0);
    loop {
        let claimed = queue.claim(CLAIM, LEASE, boot, done as u64 + 1).await?;
        if claimed.leases.is_empty() {
            return Ok(done);
        }
        queue.ack(&claimed.leases).await?;
        done += claimed.leases.len();
    }
}

/// Compares.
pub(crate) fn judge(report: &mut Report) {
    report.compare(NAME, RATE, [SHOP, raw::BENCHMARK], Hope::AtLeast(0.6));
    report.compare(NAME, RATE, [SHOP, raw::PIPE], Hope::AtLeast(0.6));
}
