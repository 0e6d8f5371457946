//! Asks one thing again and again, on one connection, and notes what an answer takes.

use std::time::Duration;

use serde_json::json;
use shop_bench_kit::exchange::Request;
use shop_bench_kit::load::{self, Latencies};
use shop_bench_kit::meter::Meter;
use shop_bench_kit::options::Options;
use shop_bench_kit::server::Server;
use shop_bench_kit::shop::Shop;
use shop_common::config;
use shop_common::id::{ProductId, UserId};
use shop_common::redis::Redis;

/// How long it is asked before it counts.
const WARM: Duration = Duration::from_secs(1);

/// What an answer takes.
pub(crate) struct Taken {
    /// In the middle.
    pub(crate) ms: f64,
    /// Of processors, in the api and in PostgreSQL.
    pub(crate) cpu_us: f64,
}

/// Redis, with the names of the shop's keys.
pub(crate) fn redis(options: &Options, prefix: &str) -> anyhow::Result<Redis> {
    let settings =
        config::Redis { url: options.redis_url.as_str().into(), prefix: prefix.to_owned(), timeout_ms: 60_000 };
    Ok(Redis::connect(&settings)?)
}

/// Asks an api. `next` makes the requests, given how many it has made.
pub(crate) async fn ask<Next>(options: &Options, shop: &Shop, api: &Server, next: Next) -> anyhow::Result<Taken>
where
    Next: Fn(usize) -> Request + Clone + Send + 'static,
{
    let run = async |time| {
        let next = next.clone();
        load::run(api.port, 1, time, &["200", "201"], move |_, sent| next(sent)).await
    };
    let mut meter = Meter::new(api.pid, &shop.pool, redis(options, "")?.connection()).await?;
    run(WARM).await?;
    let before = meter.read().await?;
    let loaded = run(Duration::from_secs(options.seconds.get() as u64)).await?;
    let spent = meter.read().await?.since(before);
    let cpu = spent.server + spent.postgres.unwrap_or_default();
    Ok(Taken { ms: median(&loaded.latencies), cpu_us: cpu.as_secs_f64() * 1e6 / loaded.latencies.count() as f64 })
}

/// In milliseconds.
pub(crate) fn median(latencies: &Latencies) -> f64 {
    latencies.quantile(500).as_secs_f64() * 1e3
}

/// What makes orders of one piece each, by one customer after the other.
pub(crate) async fn orders(
    shop: &Shop,
    customers: &[UserId],
    products: &[ProductId],
) -> anyhow::Result<impl Fn(usize) -> Request + Clone + Send + 'static> {
    let (tokens, products) = (tokens(shop, customers).await?, products.to_vec());
    Ok(move |sent| {
        let items = [json!({ "productId": drawn(&products, sent), "quantity": 1 })];
        let order = json!({ "items": items, "paymentMethod": "pm_sim_success" }).to_string();
        Request::post("/orders", &authorization(&tokens[sent % tokens.len()]), &order)
    })
}

/// A token of each customer.
pub(crate) async fn tokens(shop: &Shop, customers: &[UserId]) -> anyhow::Result<Vec<String>> {
    let signer = shop.signer().await?;
    customers.iter().map(|customer| signer.token(*customer)).collect()
}

fn authorization(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// Asks for a page, as a customer.
pub(crate) fn get_as(token: &str, path: &str) -> Request {
    let authorization = authorization(token);
    Request(
        format!("GET {path} HTTP/1.1\r\nHost: shop\r\nAccept: application/json\r\n{authorization}\r\n").into_bytes(),
    )
}

/// One of all, as if drawn, and the same in each run: the step of a linear congruential generator (Knuth, The Art of
/// Computer Programming 2, 3.3.4), of which the upper bits are taken.
pub(crate) fn drawn<T>(all: &[T], seed: usize) -> &T {
    let mixed = (seed as u64).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    &all[(mixed >> 33) as usize % all.len()]
}
