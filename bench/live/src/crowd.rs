//! A crowd that comes back at once, as after a restart, and what other requests feel of it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use reqwest::Client;
use serde::Serialize;
use shop_bench_kit::signer::Signer;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::args::Args;
use crate::audience::Audience;
use crate::books::Books;
use crate::deliveries::percentile;
use crate::server;
use crate::wire::Wire;

/// Sockets of the crowd, each of a customer of its own.
pub(crate) const CROWD: usize = 1000;
/// Requests are sent by so many clients, each of them so often.
const CLIENTS: usize = 2;
const EVERY: Duration = Duration::from_millis(10);
/// What they ask for.
const ASKED: &str = "/products?take=20";
/// How long they ask before the crowd comes, and at least while it comes.
const IDLE: Duration = Duration::from_secs(10);
const AT_LEAST: Duration = Duration::from_secs(5);
/// Other requests may take so many times as long at p99 while the crowd comes.
const GOAL: f64 = 2.0;

/// What came of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Crowd {
    pub(crate) sockets: usize,
    /// Until all were back.
    pub(crate) seconds: f64,
    /// Of `GET /products?take=20`, while 1,000 sockets are idle.
    pub(crate) idle_p50_ms: f64,
    pub(crate) idle_p99_ms: f64,
    /// The same while they come back.
    pub(crate) crowd_p50_ms: f64,
    pub(crate) crowd_p99_ms: f64,
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sockets, seconds, idle_p50_ms, idle_p99_ms, crowd_p50_ms, crowd_p99_ms } = self;
        let ratio = crowd_p99_ms / idle_p99_ms;
        let verdict = if ratio <= GOAL { "reached" } else { "NOT reached" };
        write!(
            f,
            "{sockets} sockets of /ws at once were back after {seconds:.1} s; GET {ASKED} meanwhile: \
             p50 {crowd_p50_ms:.1} ms, p99 {crowd_p99_ms:.1} ms; before: p50 {idle_p50_ms:.1} ms, p99 {idle_p99_ms:.1} ms; \
             p99 ratio {ratio:.2} (goal: {GOAL:.2} or less, {verdict})"
        )
    }
}

/// Lets a crowd in, out, and all at once in again; with the limits that the shop has by default.
pub(crate) async fn measure(args: &Args) -> anyhow::Result<Crowd> {
    let books = Books::open(&args.database_url, CROWD).await?;
    let crowd = on_books(args, &books).await;
    let closed = books.close().await;
    let crowd = crowd?;
    closed?;
    Ok(crowd)
}

async fn on_books(args: &Args, books: &Books) -> anyhow::Result<Crowd> {
    let prefix = format!("live-{}", Uuid::now_v7());
    let server = server::shop(args, &books.url, &prefix, &[]).await?;
    let (port, signer) = (server.port, Signer::of_shop(&books.pool).await?);
    let audience = Audience::gather(Wire::Plain, port, &books.customers, &signer, CROWD).await?;
    let enough = CancellationToken::new();
    let idle = tokio::spawn(ask(port, enough.clone()));
    tokio::time::sleep(IDLE).await;
    enough.cancel();
    let idle = idle.await??;

    audience.leave().await?;
    let enough = CancellationToken::new();
    let meanwhile = tokio::spawn(ask(port, enough.clone()));
    let begun = Instant::now();
    let audience = Audience::gather(Wire::Plain, port, &books.customers, &signer, CROWD).await?;
    let back = begun.elapsed();
    tokio::time::sleep(AT_LEAST.saturating_sub(back)).await;
    enough.cancel();
    let meanwhile = meanwhile.await??;
    audience.leave().await?;
    server.stop().await?;

    let of = |latencies: &[Duration], percent| percentile(latencies, percent).context("nothing was asked for");
    Ok(Crowd {
        sockets: CROWD,
        seconds: back.as_secs_f64(),
        idle_p50_ms: of(&idle, 50)?,
        idle_p99_ms: of(&idle, 99)?,
        crowd_p50_ms: of(&meanwhile, 50)?,
        crowd_p99_ms: of(&meanwhile, 99)?,
    })
}

/// Asks again and again until told to stop, and gives how long each answer took, the quickest first.
async fn ask(port: u16, enough: CancellationToken) -> anyhow::Result<Vec<Duration>> {
    let client = Client::new();
    let url: Arc<str> = format!("http://127.0.0.1:{port}{ASKED}").into();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (client, url, enough) = (client.clone(), Arc::clone(&url), enough.clone());
        clients.spawn(async move {
            let mut latencies = Vec::new();
            let mut due = interval(EVERY);
            due.set_missed_tick_behavior(MissedTickBehavior::Skip);
            while !enough.is_cancelled() {
                // Counted from when it was due, so that a slow answer does not hide those behind it.
                let asked = due.tick().await;
                client.get(&*url).send().await?.error_for_status()?.bytes().await?;
                latencies.push(asked.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let mut all = Vec::new();
    while let Some(latencies) = clients.join_next().await {
        all.extend(latencies??);
    }
    all.sort_unstable();
    Ok(all)
}
