//! How late a job begins: from the instant at which it is due to the beginning of the transaction in which a worker takes it.

use std::time::Duration;

use chrono::Utc;
use shop_bench_kit::load::Latencies;
use shop_bench_kit::options::Options;
use shop_bench_kit::report::{Hope, Report};
use shop_bench_kit::shop::Shop;
use shop_common::jobs::queue::Queue;
use shop_common::verify::Ledger;

use crate::drain::{Team, all_done, completed, drain, lead};
use crate::fill::{self, Books, Placed};
use crate::measure::{SHOP, jobs, ms};

pub(crate) const NAME: &str = "lateness";
const IDLE: &str = "lateness, 20 jobs/s";
const BUSY: &str = "lateness, half of what one worker does";
const P50: &str = "ms late at p50";
const P99: &str = "ms late at p99";
/// What a worker is given that has next to nothing to do.
const IDLE_JOBS: usize = 200;
const IDLE_TIME: Duration = Duration::from_secs(10);

/// Measures one worker; `rate` is how many jobs a second it does, if that is known.
pub(crate) async fn measure(options: &Options, rate: Option<f64>, report: &mut Report) -> anyhow::Result<()> {
    let shop = Shop::open(options).await?;
    let measured = in_shop(options, &shop, rate, report).await;
    shop.close().await?;
    measured
}

async fn in_shop(options: &Options, shop: &Shop, rate: Option<f64>, report: &mut Report) -> anyhow::Result<()> {
    let books = Books::open(shop).await?;
    let rate = match rate {
        Some(rate) => rate,
        None => drain(options, shop, &books, 1, jobs(options)).await?.per_second,
    };
    let idle = spread(options, shop, &books, IDLE_JOBS, IDLE_TIME).await?;
    note(report, IDLE, &idle);
    let time = Duration::from_secs(options.seconds.get() as u64);
    let count = rate / 2.0 * time.as_secs_f64();
    report.add(BUSY, SHOP, "jobs/s that become due", count / time.as_secs_f64());
    let busy = spread(options, shop, &books, count as usize, time).await?;
    note(report, BUSY, &busy);
    shop.verify(Ledger::Elsewhere).await
}

fn note(report: &mut Report, work: &str, late: &Latencies) {
    report.add(work, SHOP, P50, ms(late.quantile(500)));
    report.add(work, SHOP, P99, ms(late.quantile(990)));
}

/// How late so many jobs are that become due within that time, at random instants, whatever the worker does.
async fn spread(
    options: &Options,
    shop: &Shop,
    books: &Books,
    count: usize,
    time: Duration,
) -> anyhow::Result<Latencies> {
    let queue = Queue::new(options.redis(shop.prefix())?);
    let placed = books.place(shop, count).await?;
    shop.run("CHECKPOINT").await?;
    let team = Team::start(options, shop, 1).await?;
    let begin = Utc::now() + lead(count);
    let due: Vec<_> = (0..count).map(|job| begin + time.mul_f64(draw(job))).collect();
    fill::schedule(shop, &queue, &placed, &due).await?;
    all_done(&queue, begin + time).await?;
    team.stop().await?;
    completed(shop, &placed).await?;
    late(shop, &placed).await
}

/// How late each of them was taken. The order's event was written in the transaction of the claim, and has its time.
async fn late(shop: &Shop, placed: &Placed) -> anyhow::Result<Latencies> {
    let late: Vec<f64> = sqlx::query_scalar(
        r#"SELECT greatest(0, extract(epoch FROM e.created_at - j.run_at))::float8
           FROM jobs j JOIN events e ON e.order_id = j.order_id AND e.data = '{"status": "PROCESSING"}'
           WHERE j.id = ANY($1)"#,
    )
    .bind(&placed.jobs)
    .fetch_all(&shop.pool)
    .await?;
    anyhow::ensure!(late.len() == placed.jobs.len(), "{} of {} jobs were taken", late.len(), placed.jobs.len());
    Ok(Latencies::new(late.into_iter().map(Duration::from_secs_f64).collect()))
}

/// Numbers from 0 to 1 that look as if drawn, and are the same in each run: the step of a linear congruential generator
/// (Knuth, The Art of Computer Programming 2, 3.3.4), of which the upper bits are taken.
fn draw(seed: usize) -> f64 {
    let mixed = (0..3).fold(seed as u64, |number, _| {
        number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
    });
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// Holds against what it should be.
pub(crate) fn judge(report: &mut Report) {
    report.expect(IDLE, SHOP, P50, Hope::AtMost(5.0));
    report.expect(IDLE, SHOP, P99, Hope::AtMost(50.0));
    report.expect(BUSY, SHOP, P99, Hope::AtMost(50.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_spread_evenly() {
        let drawn: Vec<f64> = (0..1000).map(draw).collect();
        assert!(drawn.iter().all(|number| (0.0..1.0).contains(number)));
        for tenth in 0..10 {
            let of_tenth = drawn.iter().filter(|number| (**number * 10.0) as usize == tenth).count();
            assert!((60..140).contains(&of_tenth), "{tenth}: {of_tenth}");
        }
    }
}
