//! Whether the work gets done: workers, the pause, the schedule, and orders that nobody works on.

use std::time::Duration;

use sqlx::PgPool;

use super::{Check, with};
use crate::jobs::compare::{self, Remedy};
use crate::jobs::queue::Queue;
use crate::jobs::reconcile::ReconcileError;
use crate::jobs::{pause, workers};
use crate::redis::Redis;

/// How long a job may be due before it is said to wait.
const OVERDUE: Duration = Duration::from_secs(60);

pub(super) async fn examine(pool: Option<&PgPool>, redis: Option<&Redis>, lease: Duration) -> Vec<Check> {
    let both = pool.zip(redis);
    vec![
        with("workers", pool, async |pool| alive(pool, lease).await).await,
        with("queue", pool, paused).await,
        with("orders", pool, stuck).await,
        with("schedule", both.as_ref(), async |(pool, redis)| schedule(pool, redis, lease).await).await,
    ]
}

async fn alive(pool: &PgPool, lease: Duration) -> Result<Check, sqlx::Error> {
    let name = "workers";
    let workers = workers::list(pool, lease).await?;
    let (alive, silent): (Vec<_>, Vec<_>) = workers.iter().partition(|worker| worker.alive);
    let seen = format!("{} alive, {} silent", alive.len(), silent.len());
    Ok(match (alive.len(), silent.first()) {
        (0, _) => Check::failed(
            name,
            format!("{seen}: no order is charged"),
            "start a shop-worker; `shopctl up` starts one where it runs the shop",
        ),
        (_, Some(worker)) => Check::warning(
            name,
            format!("{seen}; others do its jobs"),
            format!("see what has become of process {} on {}: `shopctl workers list`", worker.pid, worker.host),
        ),
        (_, None) => Check::ok(name, seen),
    })
}

async fn paused(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let name = "queue";
    Ok(match pause::current(pool).await? {
        None => Check::ok(name, "workers take jobs"),
        Some(pause) => {
            let why = pause.reason.map_or_else(String::new, |reason| format!(": {reason}"));
            let seen = format!("paused since {} UTC{why}", pause.paused_at.format("%F %T"));
            Check::warning(name, seen, "shopctl jobs resume")
        }
    })
}

/// Open orders, and refunds, that nobody works on, or that somebody should have worked on by now.
async fn stuck(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let name = "orders";
    let (open, without_job, overdue): (i64, i64, i64) = sqlx::query_as(
        "WITH open AS (
             SELECT id FROM orders WHERE status IN ('PENDING', 'PROCESSING')
             UNION ALL SELECT order_id FROM refunds WHERE refunded_at IS NULL
         )
         SELECT count(*), count(*) FILTER (WHERE j.id IS NULL),
                count(*) FILTER (WHERE j.state = 'scheduled' AND j.run_at < now() - $1 * interval '1 second')
         FROM open LEFT JOIN jobs j ON j.order_id = open.id AND j.state IN ('scheduled', 'running')",
    )
    .bind(OVERDUE.as_secs_f64())
    .fetch_one(pool)
    .await?;
    let seen = format!("{open} open, {without_job} without a job, {overdue} due for more than a minute");
    Ok(match (without_job, overdue) {
        (0, 0) => Check::ok(name, seen),
        (0, _) => Check::failed(
            name,
            seen,
            "see whether workers are alive and take jobs: `shopctl jobs list --state scheduled`",
        ),
        (_, _) => Check::failed(name, seen, "shopctl verify --repair"),
    })
}

async fn schedule(pool: &PgPool, redis: &Redis, lease: Duration) -> Result<Check, ReconcileError> {
    let name = "schedule";
    let found = compare::compare(pool, &Queue::new(redis.clone()), lease, Remedy::Report).await?;
    let seen = format!(
        "{} live jobs, {} missing in Redis, {} late, {} ghosts",
        found.live, found.missing, found.late, found.ghosts
    );
    Ok(match found.missing {
        0 => Check::ok(name, seen),
        _ => Check::failed(name, seen, "shopctl jobs reconcile --fix (workers do it too, within seconds)"),
    })
}
