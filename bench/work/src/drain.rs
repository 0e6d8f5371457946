//! Workers that do many jobs, all due at the same instant.

use std::env;
use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use shop_bench_kit::meter::{Meter, Spent};
use shop_bench_kit::options::Options;
use shop_bench_kit::process;
use shop_bench_kit::report::Report;
use shop_bench_kit::server::Server;
use shop_bench_kit::shop::Shop;
use shop_common::jobs::queue::Queue;
use shop_common::time::Timestamp;
use tokio::time::{Instant, sleep};

use crate::fill::{self, Books, Placed};
use crate::measure::{self, RATE};

/// How often is looked whether all is done. Only Redis is asked.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long the slowest may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// Workers as in production, but for the gateway.
pub(crate) struct Team {
    servers: Vec<Server>,
    meter: Meter,
}

/// What came of many jobs.
pub(crate) struct Drained {
    /// Jobs.
    jobs: usize,
    /// Jobs that were settled a second, from the instant at which they were due.
    pub(crate) per_second: f64,
    seconds: f64,
    spent: Spent,
}

impl Team {
    /// Starts so many workers.
    pub(crate) async fn start(options: &Options, shop: &Shop, workers: usize) -> anyhow::Result<Self> {
        let mut servers = Vec::new();
        for _ in 0..workers {
            // The gateway keeps no books, so there is nothing to be audited.
            let settings = [("ROCKET_GATEWAY", "{audit_every_seconds=0}")];
            let mut command = shop.program(&env::current_exe()?, &settings);
            command.arg("serve-worker");
            servers.push(Server::start(command, "shop-worker claims").await?);
        }
        let first = servers.first().context("no worker")?.pid;
        let redis = options.redis("")?;
        let meter = Meter::new(first, &shop.pool, redis.connection()).await?;
        Ok(Self { servers, meter })
    }

    /// Processor time so far.
    pub(crate) async fn spent(&mut self) -> anyhow::Result<Spent> {
        let mut spent = self.meter.read().await?;
        for server in self.servers.iter().skip(1) {
            spent.server += process::cpu(server.pid)?;
        }
        Ok(spent)
    }

    /// Stops them.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        for server in self.servers {
            server.stop().await?;
        }
        Ok(())
    }
}

impl Drained {
    /// Notes it all.
    pub(crate) fn note(&self, report: &mut Report, work: &str, subject: &str) {
        let (jobs, Spent { server, postgres, redis }) = (self.jobs as f64, self.spent);
        report.add(work, subject, RATE, self.per_second);
        report.add(work, subject, "µs of CPU per job, worker", measure::us(server) / jobs);
        if let Some(postgres) = postgres {
            report.add(work, subject, measure::POSTGRES, measure::us(postgres) / jobs);
        }
        report.add(work, subject, measure::REDIS, measure::us(redis) / jobs);
        let all = server + postgres.unwrap_or_default() + redis;
        report.add(work, subject, measure::BUSY, all.as_secs_f64() / self.seconds);
    }
}

/// Places orders, has their payments done by so many workers, and checks that all are.
pub(crate) async fn drain(
    options: &Options,
    shop: &Shop,
    books: &Books,
    workers: usize,
    jobs: usize,
) -> anyhow::Result<Drained> {
    let queue = Queue::new(options.redis(shop.prefix())?);
    let placed = books.place(shop, jobs).await?;
    shop.run("CHECKPOINT").await?;
    let mut team = Team::start(options, shop, workers).await?;
    let due = Utc::now() + lead(jobs);
    fill::schedule(shop, &queue, &placed, &vec![due; jobs]).await?;
    let before = team.spent().await?;
    all_done(&queue, due).await?;
    let spent = team.spent().await?.since(before);
    team.stop().await?;
    let (counted, seconds) = settled(shop, due).await?;
    completed(shop, &placed).await?;
    Ok(Drained { jobs, per_second: counted as f64 / seconds, seconds, spent })
}

/// How long it may take to write so many jobs, before the first of them is due.
pub(crate) fn lead(jobs: usize) -> Duration {
    Duration::from_secs(2) + Duration::from_micros(150 * jobs as u64)
}

/// Waits until nothing is scheduled or leased any more, from that time on.
pub(crate) async fn all_done(queue: &Queue, from: Timestamp) -> anyhow::Result<()> {
    sleep((from - Utc::now()).to_std().unwrap_or_default()).await;
    let begun = Instant::now();
    loop {
        let depth = queue.depth().await?;
        if depth.scheduled + depth.leased == 0 {
            return Ok(());
        }
        anyhow::ensure!(begun.elapsed() < PATIENCE, "{} jobs are left", depth.scheduled + depth.leased);
        sleep(LOOK_EVERY).await;
    }
}

/// How many were settled before the last transaction that settled any began, and after how many seconds that was.
async fn settled(shop: &Shop, due: Timestamp) -> anyhow::Result<(i64, f64)> {
    let found = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE created_at < last), extract(epoch FROM last - $1)::float8
         FROM payment_attempts, (SELECT max(created_at) AS last FROM payment_attempts) t
         WHERE created_at >= $1 GROUP BY last",
    )
    .bind(due)
    .fetch_one(&shop.pool)
    .await?;
    Ok(found)
}

/// Checks that all these orders are completed.
pub(crate) async fn completed(shop: &Shop, placed: &Placed) -> anyhow::Result<()> {
    let others: i64 = sqlx::query_scalar("SELECT count(*) FROM orders WHERE id = ANY($1) AND status <> 'COMPLETED'")
        .bind(&placed.orders)
        .fetch_one(&shop.pool)
        .await?;
    anyhow::ensure!(others == 0, "{others} orders are not completed");
    Ok(())
}
