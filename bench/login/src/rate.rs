//! `login rate`: how many log in a second, beside the hash alone; and whether they hold up those who look at products.
//!
//! All passwords are right. A login is a hash, and besides it the account is read, limits are counted and a session
//! begins.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use shop_bench_kit::exchange::Request;
use shop_bench_kit::load::{self, Latencies, Loaded};
use shop_bench_kit::options::Options;
use shop_bench_kit::report::{Hope, Report};
use shop_bench_kit::shop::{HIGH, Shop};
use shop_common::id::UserId;
use shop_common::verify::Ledger;

use crate::shop::Shop as Visitor;
use crate::{crowd, hash, millis};

const LOGINS: &str = "logins";
const LOOKS: &str = "GET /products while many log in";
const SHOP: &str = "shop";
const ALONE: &str = "hash alone";
const RATE: &str = "logins/s";
const P50: &str = "ms at p50";
const P99: &str = "ms at p99";
/// Who looks at products, when.
const BEFORE: &str = "without logins";
const DURING: &str = "with logins";
/// Threads that hash: what Rocket.toml says, too.
const THREADS: usize = 2;
/// Connections: as many as keep the threads busy.
const CONNECTIONS: usize = 8;
const CUSTOMERS: usize = 50;
/// How long the shop is asked before it counts.
const WARM: Duration = Duration::from_secs(1);

/// Measures, and prints the report.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let mut report = Report::begin("login", options).await?;
    report.set("connections", CONNECTIONS);
    report.set("threads that hash", THREADS);
    for run in 1..=options.runs.get() {
        eprintln!("run {run} of {}", options.runs);
        let shop = Shop::open(options).await?;
        let measured = one(options, &shop, &mut report).await;
        shop.close().await?;
        measured?;
    }
    report.compare(LOGINS, RATE, [SHOP, ALONE], Hope::AtLeast(0.9));
    report.compare(LOOKS, P99, [DURING, BEFORE], Hope::AtMost(crowd::LIMIT));
    report.end(options)
}

async fn one(options: &Options, shop: &Shop, report: &mut Report) -> anyhow::Result<()> {
    let time = Duration::from_secs(options.seconds.get() as u64);
    let customers: Arc<[UserId]> = accounts(shop).await?.into();
    let limits = format!("{{login={HIGH},login_account={HIGH},login_strangers={HIGH},reads={HIGH}}}");
    let threads = format!("{{hash_threads={THREADS}}}");
    let api = shop.api(&[("ROCKET_RATE_LIMITS", &limits), ("ROCKET_AUTH", &threads)]).await?;
    log_in(api.port, &customers, WARM).await?;
    if options.wants(LOGINS) {
        // Before and after, so that a machine that becomes slower meanwhile is slower for both.
        let before = hash::alone(THREADS, time).await?;
        let loaded = log_in(api.port, &customers, time).await?;
        let after = hash::alone(THREADS, time).await?;
        report.add(LOGINS, SHOP, RATE, loaded.per_second());
        report.add(LOGINS, SHOP, P50, millis(loaded.latencies.quantile(500)));
        report.add(LOGINS, SHOP, P99, millis(loaded.latencies.quantile(990)));
        report.add(LOGINS, ALONE, RATE, f64::midpoint(before, after));
    }
    if options.wants(LOOKS) {
        let visitor = Visitor::new(format!("http://127.0.0.1:{}", api.port))?;
        let count = (time.as_secs_f64() / crowd::EVERY.as_secs_f64()) as usize;
        let look = || crowd::look(visitor.clone(), Box::new(move |looks| looks >= count));
        // The first ones open connections.
        look().await?;
        let before = look().await?;
        let (during, _) = tokio::try_join!(look(), log_in(api.port, &customers, time))?;
        for (when, looks) in [(BEFORE, before), (DURING, during)] {
            let looks = Latencies::new(looks);
            report.add(LOOKS, when, P50, millis(looks.quantile(500)));
            report.add(LOOKS, when, P99, millis(looks.quantile(990)));
        }
    }
    api.stop().await?;
    shop.verify(Ledger::Elsewhere).await
}

/// Customers with passwords, each hashed for itself.
async fn accounts(shop: &Shop) -> anyhow::Result<Vec<UserId>> {
    shop.products(1000, 100).await?;
    let customers = shop.customers(CUSTOMERS).await?;
    let hashes = customers.iter().map(|_| hash::hashed()).collect::<anyhow::Result<Vec<_>>>()?;
    sqlx::query(
        "UPDATE users SET password_hash = hash FROM unnest($1::uuid[], $2::text[]) AS t (customer, hash)
         WHERE id = customer",
    )
    .bind(&customers)
    .bind(hashes)
    .execute(&shop.pool)
    .await?;
    shop.run("VACUUM ANALYZE").await?;
    Ok(customers)
}

/// Logs in for so long, each connection again as soon as it has its tokens.
async fn log_in(port: u16, customers: &Arc<[UserId]>, time: Duration) -> anyhow::Result<Loaded> {
    let customers = Arc::clone(customers);
    let next = move |connection: usize, sent: usize| {
        let email = format!("{}@bench.example", customers[(connection * 7 + sent) % customers.len()]);
        Request::post("/login", "", &json!({ "email": email, "password": hash::PASSWORD }).to_string())
    };
    load::run(port, CONNECTIONS, time, &["200"], next).await.context("logging in")
}
