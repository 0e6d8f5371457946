//! The worker daemon: claims jobs that are due, charges their payments or gives them back, settles the orders.
//!
//! Any number of workers may run, and any of them may die at any instant: what one had
//! in hand, another takes up when its heartbeat is a lease old.

mod backlog;
mod doings;
mod health;
pub mod heard;
pub mod in_hand;
pub mod payments;
pub mod runner;
mod shutdown;
mod trace;
pub mod upkeep;

use std::sync::Arc;

use anyhow::Context;
use rocket::figment::Figment;
use shop_common::config::{self, Settings};
use shop_common::db;
use shop_common::metrics::{Daemon, Exporter, servers};
use shop_common::redis::Redis;
use shop_common::telemetry;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::health::Draining;
use crate::payments::audit::Auditor;
use crate::payments::gateway::PaymentGateway;
use crate::payments::measured::MeasuredGateway;
use crate::payments::remote::RemoteGateway;
use crate::payments::simulated::SimulatedGateway;
use crate::runner::{Pools, Runner};
use crate::upkeep::Upkeep;

/// The gateway that the settings name, or the simulated one.
fn gateway(settings: &config::Gateway, pool: &PgPool) -> anyhow::Result<Arc<dyn PaymentGateway>> {
    Ok(match &settings.url {
        Some(url) => Arc::new(RemoteGateway::new(url).context("gateway.url")?),
        None => Arc::new(SimulatedGateway::new(pool.clone(), settings.clone())),
    })
}

/// The whole program: reads the settings, sets up logs, counts and traces, and runs until it is told to stop.
///
/// # Errors
/// When the settings or the URL of a server or the gateway cannot be read, or the port for health and metrics is taken.
pub async fn start() -> anyhow::Result<()> {
    start_with(gateway).await
}

/// The same with any gateway, which is made from the settings and the pool of the shop's database.
///
/// # Errors
/// As [`start`], and when the gateway cannot be made.
pub async fn start_with<Make>(gateway: Make) -> anyhow::Result<()>
where
    Make: FnOnce(&config::Gateway, &PgPool) -> anyhow::Result<Arc<dyn PaymentGateway>>,
{
    let (figment, settings) = config::load()?;
    telemetry::init_logs(&settings.log)?;
    let metrics = Exporter::install(Daemon::Worker)?;
    let traces = telemetry::init_traces("shop-worker")?;
    let ended = run(figment, settings, metrics, gateway).await;
    traces.flush().await;
    ended
}

/// Runs the daemon until it is told to stop, and drains it.
async fn run<Make>(figment: Figment, settings: Settings, metrics: Exporter, gateway: Make) -> anyhow::Result<()>
where
    Make: FnOnce(&config::Gateway, &PgPool) -> anyhow::Result<Arc<dyn PaymentGateway>>,
{
    let pool = db::pool(&settings.databases.pg).context("DATABASE_URL")?;
    let wake = Arc::new(Notify::new());
    let heard = Arc::clone(&wake);
    let redis =
        Redis::connect_listening(&settings.databases.redis, move |_| heard.notify_one()).context("REDIS_URL")?;
    let gateway = Arc::new(MeasuredGateway::new(gateway(&settings.gateway, &pool)?));
    let by_key = db::pool_by_key(&settings.databases.pg, config::Worker::CONNECTIONS).context("DATABASE_URL")?;
    let pools = Pools { usual: pool.clone(), by_key: by_key.clone() };
    let runner = Arc::new(Runner::new(pools, redis.clone(), gateway, &settings));
    servers::show_pool(&metrics, &pool);
    show_in_hand(&metrics, &runner, settings.worker.concurrency);
    let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
    // ROCKET_PORT moves any program; the file's `port` is the api's, and a worker has one of its own.
    let figment =
        if std::env::var_os("ROCKET_PORT").is_some() { figment } else { figment.merge(("port", settings.worker.port)) };
    let draining = Draining(soft.clone());
    let health = health::server(figment, Arc::clone(&runner), redis.clone(), draining, metrics).ignite().await?;
    let port = health.config().port;
    let stop_health = health.shutdown();
    let health =
        tokio::spawn(async move { health.launch().await.map(drop).map_err(|error| anyhow::anyhow!("{error}")) });

    shop_common::health::warn_of_eviction(&redis).await;
    let watching = tokio::spawn(watch(Arc::clone(&runner), redis.clone(), soft.clone(), hard.clone()));
    let upkeep = Arc::new(Upkeep::new(Arc::clone(&runner), redis, &settings.live, hard.clone()));
    let (alive, runs) = (Arc::clone(&upkeep), Arc::clone(&runner));
    let stop = soft.clone();
    let claiming = tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => return,
            () = alive.until_alive() => {}
        }
        runs.run(wake, stop).await;
    });
    let upkeep = tokio::spawn(async move { upkeep.run().await });
    let auditor = Arc::new(Auditor::new(&runner, &settings.gateway));
    let auditing = tokio::spawn(auditor.run(soft.clone()));
    tracing::info!(boot_id = %runner.boot(), port, "shop-worker claims");

    let died = tokio::select! {
        reason = shutdown::requested() => {
            tracing::info!(reason, in_hand = runner.in_hand().len(), "draining");
            Ok(())
        }
        ended = health => ended.context("the health server panicked").and_then(|result| result),
    };
    soft.cancel();
    claiming.await.context("the claiming loop panicked")?;
    shutdown::drain(&runner, std::time::Duration::from_millis(settings.worker.grace_ms)).await;
    hard.cancel();
    auditing.await.context("the auditor panicked")?;
    upkeep.await.context("the upkeep loop panicked")?;
    watching.await.context("what is watched for the metrics panicked")?;
    stop_health.notify();
    by_key.close().await;
    pool.close().await;
    died
}

/// Has what is in hand looked at whenever somebody reads the metrics.
fn show_in_hand(metrics: &Exporter, runner: &Arc<Runner>, most: usize) {
    let runner = Arc::clone(runner);
    metrics.look(move || {
        metrics::gauge!("shop_worker_jobs_in_hand").set(runner.in_hand().len() as f64);
        metrics::gauge!("shop_worker_jobs_in_hand_limit").set(most as f64);
    });
}

/// Looks at the servers and the jobs for the metrics, until told to stop.
async fn watch(runner: Arc<Runner>, redis: Redis, draining: CancellationToken, stop: CancellationToken) {
    let own = || health::own(&runner, &draining);
    tokio::select! {
        () = servers::watch(runner.pool().clone(), redis, own) => {}
        () = backlog::watch(Arc::clone(&runner)) => {}
        () = stop.cancelled() => {}
    }
}
