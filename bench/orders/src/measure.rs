//! Places orders at the shop and then with the rival, in the same database, and counts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use shop_bench_kit::exchange::Request;
use shop_bench_kit::load::{self, Loaded};
use shop_bench_kit::meter::Meter;
use shop_bench_kit::pgbench;
use shop_bench_kit::report::Report;
use shop_bench_kit::shop::Shop;
use shop_common::id::ProductId;
use shop_common::verify::Ledger;

use crate::works::{CUSTOMERS, Carts, PRODUCTS, WORKS, Work, draw, product};
use crate::{Args, rival};

const SHOP: &str = "shop";
const PGBENCH: &str = "pgbench";
const RATE: &str = "orders/s";
const P50: &str = "ms at p50";
const P99: &str = "ms at p99";
/// How long both are asked before it counts.
const WARM: Duration = Duration::from_secs(3);
/// Orders of before. Of empty tables PostgreSQL would keep other plans.
const SOLD: usize = 20_000;
/// Nobody runs out.
const STOCK: i64 = 1_000_000_000;

/// Measures, and prints the report.
pub(crate) async fn measure(args: &Args) -> anyhow::Result<()> {
    let mut report = Report::begin("orders", &args.options).await?;
    let real = replay::carts(std::slice::from_ref(&args.carts))?;
    let lines: usize = real.carts.iter().map(Vec::len).sum();
    report.set("real carts", format!("{} with {:.1} lines", real.carts.len(), lines as f64 / real.carts.len() as f64));
    let works: Vec<&Work> = WORKS.iter().filter(|work| args.options.wants(work.name)).collect();
    for run in 1..=args.options.runs.get() {
        for work in &works {
            eprintln!("run {run} of {}: {}", args.options.runs, work.name);
            let shop = Shop::open(&args.options).await?;
            let measured = one(args, work, &real, &shop, &mut report).await;
            shop.close().await?;
            measured.context(work.name)?;
        }
    }
    for work in works {
        if let Some(hope) = work.rate {
            report.compare(work.name, RATE, [SHOP, PGBENCH], hope);
        }
        if let Some(hope) = work.p99 {
            report.compare(work.name, P99, [SHOP, PGBENCH], hope);
        }
    }
    report.end(&args.options)
}

async fn one(
    args: &Args,
    work: &Work,
    real: &replay::RealCarts,
    shop: &Shop,
    report: &mut Report,
) -> anyhow::Result<()> {
    let count = if work.carts == Carts::Real { real.products } else { PRODUCTS };
    let customers = shop.customers(CUSTOMERS).await?;
    let products = shop.products(count, STOCK).await?;
    shop.sold(SOLD, &customers, &products).await?;
    let carts: &[Vec<(usize, u32)>] = if work.carts == Carts::Real { &real.carts } else { &[] };
    rival::open(shop, carts, count, SOLD).await?;
    if let Some(sql) = &args.try_sql {
        shop.run(sql).await?;
    }
    let signer = shop.signer().await?;
    let tokens = customers.iter().map(|customer| signer.token(*customer)).collect::<anyhow::Result<Vec<_>>>()?;
    let bodies = Bodies::new(work, &products, carts);

    shop.run("CHECKPOINT").await?;
    placed_by_shop(args, work, shop, (tokens, bodies), report).await?;
    shop.run("CHECKPOINT").await?;
    let (script, before) = (rival::script(work, carts.len()), rival::orders(shop).await?);
    pgbench::run(&shop.url, &script, work.clients, WARM).await?;
    // Its clock runs while it connects, which takes hundreds of clients a second or two.
    let ran = pgbench::run(&shop.url, &script, work.clients, time(args).max(WARM)).await?;
    let written = usize::try_from(rival::orders(shop).await? - before)?;
    anyhow::ensure!(written >= ran.latencies.count(), "pgbench has written {written} orders only");
    report.add(work.name, PGBENCH, RATE, ran.per_second);
    report.add(work.name, PGBENCH, P50, ms(ran.latencies.quantile(500)));
    report.add(work.name, PGBENCH, P99, ms(ran.latencies.quantile(990)));
    Ok(())
}

async fn placed_by_shop(
    args: &Args,
    work: &Work,
    shop: &Shop,
    (tokens, bodies): (Vec<String>, Bodies),
    report: &mut Report,
) -> anyhow::Result<()> {
    let api = shop.api(&[]).await?;
    let mut meter = Meter::new(api.pid, &shop.pool, args.options.redis("")?.connection()).await?;
    let (tokens, bodies, keyed) = (Arc::new(tokens), Arc::new(bodies), work.keyed);
    let run = async |run: &'static str, time| -> anyhow::Result<Loaded> {
        let (tokens, bodies) = (Arc::clone(&tokens), Arc::clone(&bodies));
        let next = move |connection: usize, sent: usize| {
            let token = tokens.get(connection % tokens.len()).map_or("", String::as_str);
            let key = if keyed { format!("Idempotency-Key: {run}-{sent}\r\n") } else { String::new() };
            let headers = format!("Authorization: Bearer {token}\r\n{key}");
            Request::post("/orders", &headers, bodies.get(connection * 1_000_003 + sent))
        };
        load::run(api.port, work.clients, time, &["201"], next).await
    };
    run("warm", WARM).await?;
    let before = meter.read().await?;
    let loaded = run("measured", time(args)).await?;
    let spent = meter.read().await?.since(before);
    api.stop().await?;
    let orders = loaded.latencies.count() as f64;
    report.add(work.name, SHOP, RATE, loaded.per_second());
    report.add(work.name, SHOP, P50, ms(loaded.latencies.quantile(500)));
    report.add(work.name, SHOP, P99, ms(loaded.latencies.quantile(990)));
    report.add(work.name, SHOP, "µs of CPU per order, api", us(spent.server) / orders);
    if let Some(postgres) = spent.postgres {
        report.add(work.name, SHOP, "µs of CPU per order, PostgreSQL", us(postgres) / orders);
    }
    report.add(work.name, SHOP, "µs of CPU per order, Redis", us(spent.redis) / orders);
    // No worker runs, so the gateway has no books yet.
    shop.verify(Ledger::Elsewhere).await
}

/// Carts, ready to be sent.
struct Bodies(Vec<String>);

impl Bodies {
    fn new(work: &Work, products: &[ProductId], carts: &[Vec<(usize, u32)>]) -> Self {
        let line = |product: usize, quantity: u32| json!({ "productId": products.get(product), "quantity": quantity });
        let body =
            |lines: Vec<serde_json::Value>| json!({ "items": lines, "paymentMethod": "pm_sim_success" }).to_string();
        match work.carts {
            Carts::Real => {
                let lines =
                    |cart: &Vec<(usize, u32)>| cart.iter().map(|(product, pieces)| line(*product, *pieces)).collect();
                Self(carts.iter().map(|cart| body(lines(cart))).collect())
            }
            _ => Self((0..4096).map(|seed| body(vec![line(product(work.carts, seed), 1)])).collect()),
        }
    }

    fn get(&self, seed: usize) -> &str {
        self.0.get(draw(seed, self.0.len())).map_or("", String::as_str)
    }
}

fn time(args: &Args) -> Duration {
    Duration::from_secs(args.options.seconds.get() as u64)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
