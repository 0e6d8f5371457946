//! What a long backlog costs: claiming jobs that are due while a thousand, or very many, wait for a later time.

use std::time::{Duration, Instant};

use chrono::Utc;
use shop_bench_kit::meter::Meter;
use shop_bench_kit::options::Options;
use shop_bench_kit::report::{Hope, Report};
use shop_bench_kit::shop::Shop;
use shop_common::events::Announcer;
use shop_common::id::{BootId, JobId};
use shop_common::jobs::Token;
use shop_common::jobs::queue::{Lease, Queue};
use shop_common::jobs::reconcile::reconcile;
use shop_common::jobs::workers::{self, Pulse};
use shop_common::orders::claim::claim;
use shop_common::redis::Redis;

use crate::fill::{Books, write_jobs};
use crate::measure::{SHOP, ms, us};
use crate::queue::{CLAIM, LEASE, drain, due_now};

pub(crate) const NAME: &str = "claim cost";
const REDIS: &str = "µs of Redis' CPU per job, claimed and acknowledged";
const TABLE: &str = "µs per job, claimed in PostgreSQL";
const RECONCILE: &str = "ms to reconcile";
/// Works, and how many jobs wait on the schedule, and in the table.
const FEW: (&str, usize, usize) = ("claim cost, few wait", 1_000, 1_000);
const MANY: (&str, usize, usize) = ("claim cost, many wait", 1_000_000, 200_000);
/// Jobs that are claimed on the schedule, and in the table.
const DUE: usize = 100_000;
const DUE_ROWS: usize = 5_000;
/// How often is reconciled.
const ROUNDS: u32 = 20;
/// When those that wait are due.
const LATER: Duration = Duration::from_secs(24 * 3600);

/// Measures with few, then with many.
pub(crate) async fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    report.set("jobs that wait", format!("{} and {} in Redis, {} and {} in PostgreSQL", FEW.1, MANY.1, FEW.2, MANY.2));
    let shop = Shop::open(options).await?;
    let redis = options.redis(shop.prefix())?;
    let measured = in_shop(&shop, &redis, report).await;
    redis::cmd("UNLINK").arg(redis.key("sched")).exec_async(&mut redis.connection()).await?;
    shop.close().await?;
    measured
}

async fn in_shop(shop: &Shop, redis: &Redis, report: &mut Report) -> anyhow::Result<()> {
    let queue = Queue::new(redis.clone());
    let books = Books::open(shop).await?;
    let mut meter = Meter::new(std::process::id(), &shop.pool, redis.connection()).await?;
    let mut rows = 0;
    for (work, scheduled, of_table) in [FEW, MANY] {
        let placed = books.place(shop, of_table - rows).await?;
        write_jobs(shop, &placed, &vec![Utc::now() + LATER; placed.jobs.len()]).await?;
        rows = of_table;
        shop.run("VACUUM ANALYZE").await?;
        report.add(work, SHOP, TABLE, in_table(shop, redis, &books).await?);
        report.add(work, SHOP, RECONCILE, reconciling(shop, &queue).await?);

        let before = queue.depth().await?.scheduled;
        wait(&queue, scheduled - usize::try_from(before)?).await?;
        due_now(&queue, DUE).await?;
        let before = meter.read().await?;
        let claimed = drain(queue.clone()).await?;
        let spent = meter.read().await?.since(before);
        anyhow::ensure!(claimed == DUE, "{claimed} of {DUE} jobs were claimed");
        report.add(work, SHOP, REDIS, us(spent.redis) / DUE as f64);
    }
    Ok(())
}

/// Puts so many jobs on the schedule that are not due for long, each at another time.
async fn wait(queue: &Queue, jobs: usize) -> anyhow::Result<()> {
    let later: Vec<_> = (0..jobs).map(|job| (JobId::new(), LATER + Duration::from_millis(job as u64))).collect();
    queue.schedule(&later).await?;
    Ok(())
}

/// The time of a claim in PostgreSQL, per job in µs.
async fn in_table(shop: &Shop, redis: &Redis, books: &Books) -> anyhow::Result<f64> {
    let placed = books.place(shop, DUE_ROWS).await?;
    write_jobs(shop, &placed, &vec![Utc::now(); DUE_ROWS]).await?;
    let (announcer, boot) = (Announcer::new(redis.clone()), BootId::new());
    // Nobody settles them, and a worker that lives keeps what it has taken.
    workers::beat(&shop.pool, boot, "bench", &Pulse::default()).await?;
    let leases: Vec<Lease> =
        (1..).zip(&placed.jobs).map(|(number, job)| Lease { job: *job, token: Token::new(boot, number) }).collect();
    let begun = Instant::now();
    let mut taken = 0;
    for leases in leases.chunks(CLAIM) {
        taken += claim(&shop.pool, &announcer, leases, boot, LEASE).await?.len();
    }
    let time = begun.elapsed();
    anyhow::ensure!(taken == DUE_ROWS, "{taken} of {DUE_ROWS} jobs were taken");
    Ok(us(time) / DUE_ROWS as f64)
}

/// The time of a look for jobs that the schedule has lost, when it has lost none.
async fn reconciling(shop: &Shop, queue: &Queue) -> anyhow::Result<f64> {
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        let lost = reconcile(&shop.pool, queue, LEASE).await?;
        anyhow::ensure!(lost == 0, "{lost} jobs were lost");
    }
    Ok(ms(begun.elapsed() / ROUNDS))
}

/// Compares.
pub(crate) fn judge(report: &mut Report) {
    for what in [REDIS, TABLE, RECONCILE] {
        report.divide([(MANY.0, SHOP, what), (FEW.0, SHOP, what)], Hope::AtMost(1.5));
    }
}
