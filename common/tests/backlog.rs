//! What waits in the table of jobs, as it is told to Prometheus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use shop_common::db::MIGRATOR;
use shop_common::id::{BootId, JobId};
use shop_common::jobs::backlog::{self, Live};
use shop_common::jobs::workers::Pulse;
use shop_common::jobs::{dead, workers};
use shop_testkit::Shop;
use sqlx::PgPool;

/// A shop with so many orders, each with a job that is due.
async fn shop(pool: PgPool, orders: usize) -> (Shop, Vec<JobId>) {
    let shop = Shop::new(pool);
    let (ada, mug) = (shop.customer().await, shop.product("12.50", 100).await);
    let mut jobs = Vec::new();
    for _ in 0..orders {
        let order = shop.order(ada, &[(mug, 1)], "test").await;
        jobs.push(shop.job_of(order).await);
    }
    (shop, jobs)
}

async fn set(shop: &Shop, job: JobId, what: &str) {
    let statement = format!("UPDATE jobs SET {what} WHERE id = $1");
    sqlx::query(sqlx::AssertSqlSafe(statement)).bind(job).execute(&shop.pool).await.unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_due_is_counted_by_kind_with_the_age_of_the_oldest_and_what_is_done_is_not(pool: PgPool) {
    let (shop, jobs) = shop(pool, 6).await;
    set(&shop, jobs[0], "run_at = now() - interval '90 seconds'").await;
    set(&shop, jobs[2], "run_at = now() + interval '1 hour'").await;
    set(&shop, jobs[3], "state = 'running', token = 't', boot_id = gen_random_uuid()").await;
    set(&shop, jobs[4], "state = 'completed', run_at = now() - interval '1 year'").await;
    set(&shop, jobs[5], "kind = 'of_a_newer_version', run_at = now() + interval '1 hour'").await;

    let mut live = backlog::live(&shop.pool).await.unwrap();

    live.sort_by(|a, b| a.kind.cmp(&b.kind));
    let [charges, others] = live.try_into().unwrap();
    assert!((90.0..300.0).contains(&charges.oldest_due_seconds), "{charges:?}");
    let kind = "charge_payment".to_owned();
    let oldest_due_seconds = charges.oldest_due_seconds;
    assert_eq!(charges, Live { kind, scheduled: 3, running: 1, due: 2, oldest_due_seconds });
    let kind = "of_a_newer_version".to_owned();
    assert_eq!(others, Live { kind, scheduled: 1, running: 0, due: 0, oldest_due_seconds: 0.0 });
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn dead_jobs_need_an_operator_only_while_their_orders_are_open(pool: PgPool) {
    let (shop, jobs) = shop(pool, 3).await;
    assert_eq!(dead::count_needing_operator(&shop.pool).await.unwrap(), []);
    for job in &jobs[..2] {
        set(&shop, *job, "state = 'dead'").await;
    }
    let ended = "UPDATE orders SET status = 'FAILED' WHERE id = (SELECT order_id FROM jobs WHERE id = $1)";
    sqlx::query(ended).bind(jobs[1]).execute(&shop.pool).await.unwrap();

    let needing = dead::count_needing_operator(&shop.pool).await.unwrap();

    assert_eq!(needing, [("charge_payment".to_owned(), 1)]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn workers_that_were_heard_within_a_lease_are_alive(pool: PgPool) {
    let lease = Duration::from_secs(15);
    let (heard, silent) = (BootId::new(), BootId::new());
    for boot in [heard, silent] {
        workers::beat(&pool, boot, "host", &Pulse::default()).await.unwrap();
    }
    sqlx::query("UPDATE workers SET heartbeat_at = now() - interval '16 seconds' WHERE boot_id = $1")
        .bind(silent)
        .execute(&pool)
        .await
        .unwrap();

    assert_eq!(workers::count_alive(&pool, lease).await.unwrap(), 1);
}
