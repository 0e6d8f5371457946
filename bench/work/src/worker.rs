//! The whole road of a job: from the instant at which it is due until it is settled in PostgreSQL.

use shop_bench_kit::meter::Meter;
use shop_bench_kit::options::Options;
use shop_bench_kit::report::{Hope, Report};
use shop_bench_kit::shop::Shop;
use shop_common::verify::Ledger;

use crate::drain::{completed, drain};
use crate::fill::Books;
use crate::measure::{self, PGBENCH, RATE, SHOP, jobs};
use crate::{bull, pgbench};

pub(crate) const NAME: &str = "worker";

/// Measures one worker, then the rivals. Gives the jobs a second of the worker.
pub(crate) async fn measure(options: &Options, report: &mut Report) -> anyhow::Result<f64> {
    let shop = Shop::open(options).await?;
    let measured = beside_pgbench(options, &shop, report).await;
    shop.close().await?;
    let rate = measured?;
    bull::measure(options, NAME, report).await?;
    Ok(rate)
}

async fn beside_pgbench(options: &Options, shop: &Shop, report: &mut Report) -> anyhow::Result<f64> {
    let books = Books::open(shop).await?;
    let drained = drain(options, shop, &books, 1, jobs(options)).await?;
    drained.note(report, NAME, SHOP);

    let redis = options.redis("")?;
    let mut meter = Meter::new(std::process::id(), &shop.pool, redis.connection()).await?;
    let mut best: Option<(f64, f64)> = None;
    for clients in [1, 2] {
        let placed = books.place(shop, jobs(options)).await?;
        pgbench::prepare(shop, &placed).await?;
        shop.run("CHECKPOINT").await?;
        let before = meter.read().await?;
        let rate = pgbench::run(shop, clients, placed.jobs.len()).await?;
        let spent = meter.read().await?.since(before);
        completed(shop, &placed).await?;
        eprintln!("  {NAME} · pgbench with {clients} clients: {rate:.0} jobs/s");
        let postgres = measure::us(spent.postgres.unwrap_or_default()) / placed.jobs.len() as f64;
        if best.is_none_or(|(best, _)| best < rate) {
            best = Some((rate, postgres));
        }
    }
    if let Some((rate, postgres)) = best {
        report.add(NAME, PGBENCH, RATE, rate);
        report.add(NAME, PGBENCH, measure::POSTGRES, postgres);
    }
    shop.verify(Ledger::Elsewhere).await?;
    Ok(drained.per_second)
}

/// Compares.
pub(crate) fn judge(report: &mut Report) {
    report.compare(NAME, RATE, [SHOP, PGBENCH], Hope::AtLeast(0.8));
    report.compare(NAME, RATE, [SHOP, bull::BEST], Hope::AtLeast(1.0));
}
