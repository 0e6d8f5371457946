//! The memory that programs have, when nothing happens and under load.

use std::time::{Duration, Instant};

use anyhow::ensure;
use shop_bench_kit::exchange::{Request, ask};
use shop_bench_kit::options::Options;
use shop_bench_kit::process;
use shop_bench_kit::report::Report;
use shop_bench_kit::shop::Shop;
use shop_common::verify::Ledger;
use tokio::time::sleep;

use crate::loads::{Crowd, Load};
use crate::measure::{API, WORKER};

/// What is resident at the time.
pub(crate) const RESIDENT: &str = "MiB";
/// The most that was resident since the start.
pub(crate) const AT_MOST: &str = "MiB at most";
/// What is still resident some time after the load.
const AFTER: &str = "MiB afterwards";
/// How long a program is left alone before it is looked at.
const PAUSE: Duration = Duration::from_secs(2);
/// Orders of which the worker has a backlog.
const BACKLOG: i64 = 10_000;
/// How long it may take for it.
const SETTLING: Duration = Duration::from_secs(300);
/// A gateway that charges everybody at once.
const GATEWAY: [(&str, &str); 1] = [("ROCKET_GATEWAY", "{latency_ms=0,success_rate=1.0}")];

/// Looks at an api that has answered once, and at a worker without work.
pub(crate) async fn idle(work: &str, shop: &Shop, report: &mut Report) -> anyhow::Result<()> {
    shop.products(1000, 100).await?;
    let (api, worker) = (shop.api(&[]).await?, shop.worker(&GATEWAY).await?);
    let answer = ask(api.port, &Request::get("/products?take=20", None)).await?;
    ensure!(answer.status == 200, "products are answered {}", answer.status);
    sleep(PAUSE).await;
    report.add(work, API, RESIDENT, mib(process::memory(api.pid)?));
    report.add(work, WORKER, RESIDENT, mib(process::memory(worker.pid)?));
    api.stop().await?;
    worker.stop().await
}

/// Looks at an api under load.
pub(crate) async fn under(options: &Options, load: Load, shop: &Shop, report: &mut Report) -> anyhow::Result<()> {
    let crowd = Crowd::gather(shop).await?;
    let api = shop.api(&[("ROCKET_RATE_LIMITS", &load.limits())]).await?;
    let loaded = crowd.ask(api.port, load, Duration::from_secs(options.seconds.get() as u64)).await?;
    report.add(load.name(), API, "answers/s", loaded.per_second());
    sleep(PAUSE).await;
    report.add(load.name(), API, AT_MOST, mib(process::peak(api.pid)?));
    report.add(load.name(), API, AFTER, mib(process::memory(api.pid)?));
    api.stop().await?;
    shop.verify(Ledger::Elsewhere).await
}

/// Looks at a worker that finds many orders to be charged.
pub(crate) async fn backlog(work: &str, shop: &Shop, report: &mut Report) -> anyhow::Result<()> {
    let crowd = Crowd::gather(shop).await?;
    let api = shop.api(&[]).await?;
    while jobs(shop).await? < BACKLOG {
        crowd.ask(api.port, Load::Orders { clients: 32 }, Duration::from_secs(1)).await?;
    }
    api.stop().await?;
    let before = jobs(shop).await?;
    let worker = shop.worker(&GATEWAY).await?;
    let begun = Instant::now();
    while jobs(shop).await? > 0 {
        ensure!(begun.elapsed() < SETTLING, "the worker does not get done");
        sleep(Duration::from_millis(100)).await;
    }
    report.add(work, WORKER, "jobs/s", before as f64 / begun.elapsed().as_secs_f64());
    sleep(PAUSE).await;
    report.add(work, WORKER, AT_MOST, mib(process::peak(worker.pid)?));
    report.add(work, WORKER, AFTER, mib(process::memory(worker.pid)?));
    worker.stop().await?;
    shop.verify(Ledger::Here).await
}

/// Jobs that are not done.
async fn jobs(shop: &Shop) -> anyhow::Result<i64> {
    let left = "SELECT count(*) FROM jobs WHERE state IN ('scheduled', 'running')";
    Ok(sqlx::query_scalar(left).fetch_one(&shop.pool).await?)
}

/// Of KiB.
pub(crate) fn mib(kib: f64) -> f64 {
    kib / 1024.0
}
