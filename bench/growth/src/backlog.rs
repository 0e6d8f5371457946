//! What an order and a look at the jobs cost, by how many jobs wait for their time.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::ensure;
use shop_bench_kit::load::Latencies;
use shop_bench_kit::options::Options;
use shop_bench_kit::shop::Shop;
use shop_common::id::{JobId, ProductId, UserId};
use shop_common::jobs::queue::Queue;
use shop_common::verify::Ledger;

use crate::curves::{Chart, Curves};
use crate::probe;

const TIME: Chart = Chart {
    file: "backlog-time",
    title: "Time of an order and of a command, by waiting jobs",
    x: "waiting jobs",
    y: "ms at p50",
    by_tens: true,
};
const CUSTOMERS: usize = 100;
const PRODUCTS: usize = 100;
/// Nobody runs out.
const STOCK: i64 = 1_000_000_000;
/// How often the command is run.
const COMMANDS: usize = 20;
/// When the jobs are due.
const LATER: Duration = Duration::from_secs(24 * 3600);

/// Orders whose payment waits for tomorrow.
const WAITING: &str = "
    WITH new AS (
        SELECT gen_random_uuid() AS id, gen_random_uuid() AS payment,
               ($2::uuid[])[1 + n % cardinality($2)] AS customer, ($3::uuid[])[1 + n % cardinality($3)] AS product
        FROM generate_series(1, $1) AS n
    ), sold AS (
        UPDATE products p SET stock = p.stock - t.sold
        FROM (SELECT product, count(*) AS sold FROM new GROUP BY product) t WHERE p.id = t.product
    ), orders AS (
        INSERT INTO orders (id, user_id, total_minor, currency, payment_method)
        SELECT id, customer, 1250, 'USD', 'pm_sim_success' FROM new
    ), items AS (
        INSERT INTO order_items (order_id, product_id, id, line, quantity, price_minor)
        SELECT id, product, gen_random_uuid(), 0, 1, 1250 FROM new
    ), payments AS (
        INSERT INTO payments (id, order_id, amount_minor, currency, method)
        SELECT payment, id, 1250, 'USD', 'pm_sim_success' FROM new
    )
    INSERT INTO jobs (id, kind, version, payload, order_id, run_at)
    SELECT gen_random_uuid(), 'charge_payment', 1, jsonb_build_object('paymentId', payment), id,
           now() + interval '1 day' FROM new
    RETURNING id";

/// Places orders, and looks at the jobs.
pub(crate) async fn measure(options: &Options, shop: &Shop, size: usize, curves: &mut Curves) -> anyhow::Result<()> {
    let customers = shop.customers(CUSTOMERS).await?;
    let products = shop.products(PRODUCTS, STOCK).await?;
    fill(options, shop, size, (&customers, &products)).await?;
    let api = shop.api(&[]).await?;
    let order = probe::orders(shop, &customers, &products).await?;
    curves.add(TIME, size, "POST /orders", probe::ask(options, shop, &api, order).await?.ms);
    api.stop().await?;
    shop.run("VACUUM ANALYZE").await?;
    let mut times = Vec::new();
    for _ in 0..COMMANDS {
        times.push(look(options, shop).await?);
    }
    curves.add(TIME, size, "shopctl jobs stats", probe::median(&Latencies::new(times)));
    shop.verify(Ledger::Elsewhere).await
}

/// Lets so many jobs wait, in both servers.
async fn fill(
    options: &Options,
    shop: &Shop,
    size: usize,
    (customers, products): (&[UserId], &[ProductId]),
) -> anyhow::Result<()> {
    let jobs: Vec<JobId> = sqlx::query_scalar(WAITING)
        .bind(i64::try_from(size)?)
        .bind(customers)
        .bind(products)
        .fetch_all(&shop.pool)
        .await?;
    let jobs: Vec<(JobId, Duration)> = jobs.into_iter().map(|job| (job, LATER)).collect();
    let queue = Queue::new(probe::redis(options, shop.prefix())?);
    queue.schedule(&jobs).await?;
    shop.run("VACUUM ANALYZE").await?;
    shop.run("CHECKPOINT").await
}

/// How long `shopctl jobs stats` takes.
async fn look(options: &Options, shop: &Shop) -> anyhow::Result<Duration> {
    let mut command = shop.program(&options.program("shopctl")?, &[]);
    command.args(["jobs", "stats"]).stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = command.status().await?;
    let took = begun.elapsed();
    ensure!(status.success(), "it has ended with {status}");
    Ok(took)
}
