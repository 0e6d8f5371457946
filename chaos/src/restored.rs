//! A drama of its own: an older database is restored while the gateway's ledger lives on.
//!
//! What the shop has forgotten is given back and reported; what it remembers as open it takes up where it was, with the
//! same keys, and charges nobody twice.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use crate::driver::Load;
use crate::journal::Journal;
use crate::oracle::{self, Charge};
use crate::stage::Stage;

/// Customers who order at the same time, and how often each.
const CLIENTS: u64 = 8;
const ORDERS: usize = 6;
/// How the database and its copy are called.
const COPY: &str = "CREATE DATABASE of_yesterday TEMPLATE shop";
const RESTORE: [&str; 2] = ["DROP DATABASE shop", "ALTER DATABASE of_yesterday RENAME TO shop"];

/// What came of it.
#[derive(Debug)]
pub struct Restored {
    /// Charges of which the restored shop knew nothing, and which went back.
    pub refunded: usize,
    /// Orders that were open in the copy.
    pub open: i64,
    /// Everything that must not be.
    pub violations: Vec<String>,
}

/// Plays it.
///
/// # Errors
/// When the rig itself fails.
pub async fn play(stage: &Arc<Stage>, seed: u64) -> anyhow::Result<Restored> {
    let journal = Arc::new(Journal::default());
    let load = Load {
        stage: Arc::clone(stage),
        journal: Arc::clone(&journal),
        hot: stage.product("Hot", 100_000).await?,
        stop: Arc::default(),
        pause: Duration::ZERO,
        cancels: 0.0,
    };
    order(&load, seed, "before").await;
    let open = copy(stage).await?;
    order(&load, seed + 1, "forgotten").await;
    if let Err(left) = oracle::drained(stage).await? {
        journal.violation(left);
    }
    let mut violations = journal.violations();

    restore(stage).await?;
    if let Err(left) = oracle::drained(stage).await? {
        violations.push(left);
    }
    let first = stage.shopctl(&["payments", "reconcile", "-o", "json"]).output().await?;
    let report: Value = serde_json::from_slice(&first.stdout)
        .with_context(|| format!("payments reconcile: {}", String::from_utf8_lossy(&first.stderr)))?;
    if first.status.code() != Some(1) {
        violations.push(format!("payments reconcile left with {} and said {report}", first.status));
    }
    let again = stage.shopctl(&["payments", "reconcile"]).output().await?;
    if !again.status.success() {
        violations.push(format!("the second payments reconcile left with {}", again.status));
    }
    let refunded = balance(stage, &mut violations).await?;
    if refunded == 0 {
        violations.push("nothing was forgotten, so nothing was tested".to_owned());
    }
    let verified = stage.shopctl(&["verify"]).output().await?;
    if !verified.status.success() {
        violations.push(format!("after the restore verify says {}", String::from_utf8_lossy(&verified.stdout)));
    }
    Ok(Restored { refunded, open, violations })
}

async fn order(load: &Load, seed: u64, name: &'static str) {
    let mut customers = JoinSet::new();
    for n in 0..CLIENTS {
        let (load, mut rng) = (load.clone(), StdRng::seed_from_u64(seed * 1000 + n));
        customers.spawn(async move {
            for m in 0..ORDERS {
                let sent = load.next_order(&mut rng, format!("{name}-{seed}-{n}-{m}"));
                load.place(&mut rng, &sent).await;
            }
        });
    }
    customers.join_all().await;
}

/// Copies the database while orders are open. Gives how many.
async fn copy(stage: &Stage) -> anyhow::Result<i64> {
    stop(stage);
    let open = sqlx::query_scalar("SELECT count(*) FROM orders WHERE status IN ('PENDING', 'PROCESSING')")
        .fetch_one(&stage.pool)
        .await?;
    alone(stage, &[COPY]).await?;
    start(stage).await?;
    Ok(open)
}

/// Puts the copy in the place of the database. Redis and the gateway stay as they are.
async fn restore(stage: &Stage) -> anyhow::Result<()> {
    stop(stage);
    alone(stage, &RESTORE).await?;
    start(stage).await
}

fn stop(stage: &Stage) {
    for node in stage.nodes() {
        node.program.kill();
    }
}

async fn start(stage: &Stage) -> anyhow::Result<()> {
    for node in stage.nodes() {
        node.program.start(&[])?;
    }
    stage.all_serve().await
}

/// Runs statements that want the database for themselves.
async fn alone(stage: &Stage, statements: &[&'static str]) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(&stage.postgres.url_of("postgres")).await?;
    for statement in statements {
        for attempt in 0.. {
            sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'")
                .execute(&mut connection)
                .await?;
            match sqlx::query(*statement).execute(&mut connection).await {
                Ok(_) => break,
                // Sessions take a moment to end.
                Err(error) => ensure!(attempt < 50, "{statement}: {error}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// Every charge that is kept is of a completed order, each of which has one. Gives how many went back.
async fn balance(stage: &Stage, violations: &mut Vec<String>) -> anyhow::Result<usize> {
    let (refunded, kept): (Vec<Charge>, Vec<Charge>) =
        oracle::charges(stage, Uuid::nil()).await?.into_iter().partition(Charge::is_refunded);
    violations.extend(oracle::unbalanced(stage, Uuid::nil(), kept).await?);
    Ok(refunded.len())
}
