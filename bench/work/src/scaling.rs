//! What more programs on the same machine are good for: workers that share the jobs, apis that share the orders.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shop_bench_kit::exchange::Request;
use shop_bench_kit::load;
use shop_bench_kit::meter::Meter;
use shop_bench_kit::options::Options;
use shop_bench_kit::process;
use shop_bench_kit::report::Report;
use shop_bench_kit::shop::Shop;
use shop_common::verify::Ledger;
use tokio::task::JoinSet;

use crate::drain::drain;
use crate::fill::Books;
use crate::measure::{BUSY, jobs, us};

pub(crate) const NAME: &str = "scaling";
/// Connections to all apis together.
const CONNECTIONS: usize = 32;
/// How long the apis are asked before it counts.
const WARM: Duration = Duration::from_secs(1);

/// Measures one, two and four workers, then one and two apis.
pub(crate) async fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    for (workers, subject) in [(1, "1 worker"), (2, "2 workers"), (4, "4 workers")] {
        let shop = Shop::open(options).await?;
        let measured = with_workers(options, &shop, workers, subject, report).await;
        shop.close().await?;
        measured?;
    }
    for (apis, subject) in [(1, "1 api"), (2, "2 apis")] {
        let shop = Shop::open(options).await?;
        let measured = with_apis(options, &shop, apis, subject, report).await;
        shop.close().await?;
        measured?;
    }
    Ok(())
}

async fn with_workers(
    options: &Options,
    shop: &Shop,
    workers: usize,
    subject: &str,
    report: &mut Report,
) -> anyhow::Result<()> {
    let books = Books::open(shop).await?;
    drain(options, shop, &books, workers, jobs(options)).await?.note(report, NAME, subject);
    shop.verify(Ledger::Elsewhere).await
}

async fn with_apis(
    options: &Options,
    shop: &Shop,
    apis: usize,
    subject: &str,
    report: &mut Report,
) -> anyhow::Result<()> {
    let books = Books::open(shop).await?;
    let signer = shop.signer().await?;
    let customers = books.customers.iter().take(CONNECTIONS);
    let tokens = customers.map(|customer| signer.token(*customer)).collect::<anyhow::Result<Vec<_>>>()?;
    let body =
        |product| json!({ "items": [{ "productId": product, "quantity": 1 }], "paymentMethod": "pm_sim_success" });
    let bodies: Vec<String> = books.products.iter().map(|product| body(product).to_string()).collect();
    let asked = Arc::new((tokens, bodies));
    let mut servers = Vec::new();
    for _ in 0..apis {
        servers.push(shop.api(&[]).await?);
    }
    let ports: Vec<u16> = servers.iter().map(|server| server.port).collect();
    let pids: Vec<u32> = servers.iter().map(|server| server.pid).collect();
    let cpu = || pids.iter().map(|pid| process::cpu(*pid)).sum::<anyhow::Result<Duration>>();

    shop.run("CHECKPOINT").await?;
    place(&ports, WARM, &asked).await?;
    let redis = options.redis("")?;
    let mut meter = Meter::new(std::process::id(), &shop.pool, redis.connection()).await?;
    let (before, own) = (meter.read().await?, cpu()?);
    let (orders, rate) = place(&ports, Duration::from_secs(options.seconds.get() as u64), &asked).await?;
    let (spent, own) = (meter.read().await?.since(before), cpu()? - own);
    for server in servers {
        server.stop().await?;
    }
    report.add(NAME, subject, "orders/s", rate);
    report.add(NAME, subject, "µs of CPU per order, api", us(own) / orders);
    report.add(NAME, subject, "µs of CPU per order, load", us(spent.server) / orders);
    report.add(NAME, subject, "µs of CPU per order, PostgreSQL", us(spent.postgres.unwrap_or_default()) / orders);
    report.add(NAME, subject, "µs of CPU per order, Redis", us(spent.redis) / orders);
    let all = own + spent.server + spent.postgres.unwrap_or_default() + spent.redis;
    report.add(NAME, subject, BUSY, all.as_secs_f64() * rate / orders);
    shop.verify(Ledger::Elsewhere).await
}

/// Places orders at all these ports at the same time. Gives how many, and how many a second.
async fn place(ports: &[u16], time: Duration, asked: &Arc<(Vec<String>, Vec<String>)>) -> anyhow::Result<(f64, f64)> {
    let each = CONNECTIONS / ports.len();
    let mut loads = JoinSet::new();
    for (first, port) in (0..).step_by(each).zip(ports.iter().copied()) {
        let asked = Arc::clone(asked);
        let next = move |connection: usize, sent: usize| {
            let (tokens, bodies) = &*asked;
            let text = |texts: &'_ [String], n: usize| texts.get(n % texts.len()).cloned().unwrap_or_default();
            let (token, body) = (text(tokens, first + connection), text(bodies, first + connection + sent));
            Request::post("/orders", &format!("Authorization: Bearer {token}\r\n"), &body)
        };
        loads.spawn(load::run(port, each, time, &["201"], next));
    }
    let (mut orders, mut rate) = (0.0, 0.0);
    while let Some(loaded) = loads.join_next().await {
        let loaded = loaded??;
        orders += loaded.latencies.count() as f64;
        rate += loaded.per_second();
    }
    Ok((orders, rate))
}
