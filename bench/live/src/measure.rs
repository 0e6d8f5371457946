//! One target in one run, from the fresh database to what came of the feed.

use std::time::{Duration, Instant};

use shop_bench_kit::meter::Meter;
use shop_bench_kit::process;
use shop_bench_kit::server::Server;
use shop_bench_kit::signer::Signer;
use shop_common::config;
use shop_common::events::Announcer;
use shop_common::redis::Redis;
use tokio::time::sleep;
use uuid::Uuid;

use crate::args::Args;
use crate::audience::Audience;
use crate::books::Books;
use crate::deliveries::Deliveries;
use crate::feed::{Feed, Way};
use crate::server;
use crate::summary::Sample;
use crate::target::Target;

/// Before the memory without sockets is read.
const SETTLING: Duration = Duration::from_secs(1);
/// Before the memory with all sockets is read.
const RESTING: Duration = Duration::from_secs(3);
/// Sockets that are being opened at the same time.
const AT_ONCE: usize = 100;
/// How fast sockets are let in is not what is measured here.
const LET_IN: (&str, &str) = ("ROCKET_LIVE", "{connects_per_second=100000}");
/// How long the sockets are watched doing nothing.
const IDLING: Duration = Duration::from_secs(5);
/// Changes are fed for so long before the measured ones, until Node has compiled what it runs often and plans are made.
const WARM_UP_SECONDS: usize = 2;
/// How long the last changes of a feed may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// After everything has arrived: whatever comes now was delivered twice.
const LATECOMERS: Duration = Duration::from_millis(1500);
/// A feed that is slower than this share of its rate was held up by the machine, and its numbers mean little.
const KEPT_UP: f64 = 0.95;
/// How long Redis may take for anything.
const REDIS_TIMEOUT_MS: u64 = 5000;

/// Measures a target.
pub(crate) async fn measure(args: &Args, target: Target, run: usize) -> anyhow::Result<Sample> {
    let books = Books::open(&args.database_url, args.sockets.get()).await?;
    let sample = on_books(args, target, run, &books).await;
    let closed = books.close().await;
    let sample = sample?;
    closed?;
    Ok(sample)
}

async fn on_books(args: &Args, target: Target, run: usize, books: &Books) -> anyhow::Result<Sample> {
    let prefix = format!("live-{}", Uuid::now_v7());
    let redis = Redis::connect(&config::Redis {
        url: args.redis_url.clone().into(),
        prefix: prefix.clone(),
        timeout_ms: REDIS_TIMEOUT_MS,
    })?;
    let (way, server) = match target {
        Target::ShopWs | Target::ShopSocketIo => (
            Way::Shop { pool: books.pool.clone(), announcer: Announcer::new(redis.clone()) },
            server::shop(args, &books.url, &prefix, &[LET_IN]).await?,
        ),
        Target::Rival => {
            let channel = redis.key("status");
            let server = server::rival(&args.redis_url, &channel).await?;
            (Way::Rival { connection: redis.connection(), channel, payloads: books.payloads().await? }, server)
        }
    };
    // Each run has an order of customers of its own, the same for all targets.
    let feed = Feed::new(way, &books.customers, u64::try_from(run)?);
    let meter = Meter::new(server.pid, &books.pool, redis.connection()).await?;
    let sample = on_server(args, (target, run), books, &server, feed, meter).await?;
    server.stop().await?;
    Ok(sample)
}

async fn on_server(
    args: &Args,
    (target, run): (Target, usize),
    books: &Books,
    server: &Server,
    mut feed: Feed,
    mut meter: Meter,
) -> anyhow::Result<Sample> {
    sleep(SETTLING).await;
    let memory_before = process::memory(server.pid)?;
    let signer = match target {
        Target::ShopWs | Target::ShopSocketIo => Signer::of_shop(&books.pool).await?,
        Target::Rival => Signer::plain(),
    };
    let begun = Instant::now();
    let audience = Audience::gather(target.wire(), server.port, &books.customers, &signer, AT_ONCE).await?;
    let connecting = begun.elapsed();
    sleep(RESTING).await;
    let memory_with_sockets = process::memory(server.pid)?;
    let idle_cpu_percent = idle_cpu_percent(server.pid).await?;

    feed.run(args.rate.get(), WARM_UP_SECONDS).await?;
    audience.wait_for(feed.changes(), PATIENCE).await;
    let before = meter.read().await?;
    let stretch = feed.run(args.rate.get(), args.seconds.get()).await?;
    audience.wait_for(feed.changes(), PATIENCE).await;
    let spent = meter.read().await?.since(before);
    sleep(LATECOMERS).await;
    let memory_after_feed = process::memory(server.pid)?;
    let deliveries = Deliveries::judge(feed.told(), audience.leave().await?, stretch.begun);

    let per_socket = |memory: f64| (memory - memory_before) / args.sockets.get() as f64;
    let mut problems = deliveries.problems();
    let reached = stretch.changes as f64 / stretch.took.as_secs_f64();
    if reached < KEPT_UP * args.rate.get() as f64 {
        problems.push(format!("the feed did not keep up: {reached:.0} changes per second"));
    }
    Ok(Sample {
        target,
        run,
        connecting_seconds: connecting.as_secs_f64(),
        memory_before_kib: memory_before,
        memory_per_socket_kib: per_socket(memory_with_sockets),
        memory_per_socket_after_feed_kib: per_socket(memory_after_feed),
        idle_cpu_percent,
        changes: stretch.changes,
        deliveries: deliveries.latencies.len(),
        changes_per_second: reached,
        server_cpu_seconds: spent.server.as_secs_f64(),
        postgres_cpu_seconds: spent.postgres.map(|spent| spent.as_secs_f64()),
        redis_cpu_seconds: spent.redis.as_secs_f64(),
        latency_p50_ms: deliveries.percentile(50),
        latency_p99_ms: deliveries.percentile(99),
        latency_max_ms: deliveries.percentile(100),
        problems,
    })
}

/// The share of a core that the server takes while nothing happens, in percent.
async fn idle_cpu_percent(pid: u32) -> anyhow::Result<f64> {
    let (begun, before) = (Instant::now(), process::cpu(pid)?);
    sleep(IDLING).await;
    let spent = process::cpu(pid)?.saturating_sub(before);
    Ok(100.0 * spent.as_secs_f64() / begun.elapsed().as_secs_f64())
}
