//! What operators do with jobs, on a real database and Redis: pause, dead jobs, comparing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use redis::AsyncCommands;
use shop_common::db::MIGRATOR;
use shop_common::id::{BootId, JobId, OrderId, ProductId};
use shop_common::jobs::compare::{Comparison, Remedy, compare};
use shop_common::jobs::pause::{self, Paused};
use shop_common::jobs::queue::{Depth, Lease};
use shop_common::jobs::workers::{self, Pulse};
use shop_common::jobs::{JobState, Token};
use shop_common::orders::claim::{self, Claim};
use shop_common::reason::Reason;
use shop_testkit::Shop;
use sqlx::{AssertSqlSafe, PgPool};

const LEASE: Duration = Duration::from_secs(15);

/// A shop with one open order and its job.
async fn one_order(pool: PgPool) -> (Shop, OrderId, JobId) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 9).await;
    let (order, job) = another(&shop, mug).await;
    (shop, order, job)
}

async fn another(shop: &Shop, product: ProductId) -> (OrderId, JobId) {
    let order = shop.order(shop.customer().await, &[(product, 1)], "test").await;
    (order, shop.job_of(order).await)
}

async fn run(shop: &Shop, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&shop.pool).await.unwrap();
}

async fn state(shop: &Shop, job: JobId) -> JobState {
    sqlx::query_scalar("SELECT state FROM jobs WHERE id = $1").bind(job).fetch_one(&shop.pool).await.unwrap()
}

async fn claim_as(shop: &Shop, boot: BootId, job: JobId) -> Vec<Claim> {
    let lease = Lease { job, token: Token::new(boot, 1) };
    claim::claim(&shop.pool, &shop.announcer, &[lease], boot, LEASE).await.unwrap()
}

fn reason(text: &str) -> Reason {
    text.parse().unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn while_claiming_is_paused_no_job_is_taken_and_afterwards_it_is(pool: PgPool) {
    let (shop, _, job) = one_order(pool).await;

    pause::pause(&shop.pool, Some(&reason("a new gateway"))).await.unwrap();
    assert!(claim_as(&shop, BootId::new(), job).await.is_empty());
    assert_eq!(state(&shop, job).await, JobState::Scheduled);

    assert_eq!(pause::resume(&shop.pool).await.unwrap().unwrap().reason.as_deref(), Some("a new gateway"));
    assert_eq!(claim_as(&shop, BootId::new(), job).await.len(), 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn to_pause_twice_is_to_pause_once(pool: PgPool) {
    let Paused::Now(first) = pause::pause(&pool, None).await.unwrap() else { panic!("it was not paused before") };
    assert_eq!(pause::pause(&pool, Some(&reason("again"))).await.unwrap(), Paused::Before(first.clone()));
    assert_eq!(pause::current(&pool).await.unwrap(), Some(first));
    assert!(pause::resume(&pool).await.unwrap().is_some());
    assert!(pause::resume(&pool).await.unwrap().is_none());
    assert_eq!(pause::current(&pool).await.unwrap(), None);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_pause_holds_at_once_and_says_when_the_claim_that_was_under_way_has_ended(pool: PgPool) {
    let (shop, _, job) = one_order(pool.clone()).await;
    let waiting = async || -> i64 {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap()
    };
    // The claim has taken its job, and hangs on the order.
    let mut elsewhere = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM orders FOR UPDATE").execute(&mut *elsewhere).await.unwrap();
    let claiming = tokio::spawn(async move { claim_as(&shop, BootId::new(), job).await.len() });
    while waiting().await < 1 {
        tokio::task::yield_now().await;
    }

    assert!(matches!(pause::pause(&pool, None).await.unwrap(), Paused::Now(_)));
    assert!(!pause::older_claims_end(&pool, Duration::from_millis(50)).await.unwrap(), "the claim hangs");
    assert!(pause::current(&pool).await.unwrap().is_some(), "it is paused all the same");

    let pool_of_pause = pool.clone();
    let pausing = tokio::spawn(async move {
        assert!(pause::older_claims_end(&pool_of_pause, LEASE).await.unwrap());
        sqlx::query_scalar::<_, JobState>("SELECT state FROM jobs").fetch_one(&pool_of_pause).await.unwrap()
    });
    while waiting().await < 2 && !pausing.is_finished() {
        tokio::task::yield_now().await;
    }
    elsewhere.rollback().await.unwrap();

    assert_eq!(pausing.await.unwrap(), JobState::Running, "a job started after the pause had begun");
    assert_eq!(claiming.await.unwrap(), 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_pause_does_not_wait_for_a_backup(pool: PgPool) {
    let mut backup = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE queue_pause IN ACCESS SHARE MODE").execute(&mut *backup).await.unwrap();
    assert!(matches!(pause::pause(&pool, None).await.unwrap(), Paused::Now(_)));
    assert!(pause::older_claims_end(&pool, LEASE).await.unwrap(), "the pause waits for the backup");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_shop_in_order_has_no_differences(pool: PgPool) {
    let (shop, _, _) = one_order(pool).await;
    let mug = shop.product("1", 9).await;
    let boot = BootId::new();
    let (_, running) = another(&shop, mug).await;
    // One is leased and taken, in the way of a worker.
    let claimed = shop.queue.claim(2, LEASE, boot, 1).await.unwrap();
    let (taken, other): (Vec<_>, Vec<_>) = claimed.leases.into_iter().partition(|lease| lease.job == running);
    shop.queue.release(&[(other[0].clone(), Duration::ZERO)]).await.unwrap();
    claim::claim(&shop.pool, &shop.announcer, &taken, boot, LEASE).await.unwrap();
    run(&shop, "UPDATE jobs SET run_at = now() - interval '1 minute'".to_owned()).await;

    let found = compare(&shop.pool, &shop.queue, LEASE, Remedy::Report).await.unwrap();

    assert_eq!(found, Comparison { live: 2, ..Comparison::default() });
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_redis_has_lost_is_found_and_put_back(pool: PgPool) {
    let (shop, _, due) = one_order(pool).await;
    let mug = shop.product("1", 9).await;
    let (_, later) = another(&shop, mug).await;
    let (_, in_hand) = another(&shop, mug).await;
    let (_, orphan) = another(&shop, mug).await;
    let boot = BootId::new();
    workers::beat(&shop.pool, boot, "test", &Pulse::default()).await.unwrap();
    claim_as(&shop, boot, in_hand).await;
    claim_as(&shop, BootId::new(), orphan).await;
    run(&shop, format!("UPDATE jobs SET run_at = now() - interval '1 minute' WHERE id = '{due}'")).await;
    run(&shop, format!("UPDATE jobs SET run_at = now() + interval '1 hour' WHERE id = '{later}'")).await;
    let wiped: Vec<String> = vec![shop.redis.key("sched"), shop.redis.key("lease")];
    shop.redis.connection().del::<_, ()>(&wiped).await.unwrap();

    for remedy in [Remedy::Report, Remedy::Fix] {
        let found = compare(&shop.pool, &shop.queue, LEASE, remedy).await.unwrap();
        assert_eq!(
            (found.live, found.missing, found.late, found.unleased, found.ghosts),
            (4, 2, 1, 1, 0),
            "{remedy:?}"
        );
    }

    let found = compare(&shop.pool, &shop.queue, LEASE, Remedy::Report).await.unwrap();
    assert_eq!((found.missing, found.late, found.unleased), (0, 0, 1));
    let claimed = shop.queue.claim(9, LEASE, boot, 1).await.unwrap();
    let mut jobs: Vec<JobId> = claimed.leases.iter().map(|lease| lease.job).collect();
    jobs.sort();
    assert_eq!(jobs, [due, orphan], "the one of later keeps its time");
    assert!(claimed.next_due.is_some_and(|wait| wait > Duration::from_secs(3000)));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn ghosts_are_found_in_both_sets_and_removed(pool: PgPool) {
    let (shop, _, ended) = one_order(pool).await;
    let gone = JobId::new();
    shop.queue.enqueue(&[gone]).await.unwrap();
    shop.queue.claim(2, LEASE, BootId::new(), 1).await.unwrap();
    shop.queue.enqueue(&[gone]).await.unwrap();
    shop.redis.connection().zadd::<_, _, _, ()>(shop.redis.key("sched"), "noise", 0).await.unwrap();
    run(
        &shop,
        format!("UPDATE jobs SET state = 'dead', updated_at = now() + interval '1 minute' WHERE id = '{ended}'"),
    )
    .await;
    let ghosts = async |remedy| compare(&shop.pool, &shop.queue, LEASE, remedy).await.unwrap().ghosts;

    assert_eq!(ghosts(Remedy::Report).await, 3, "the one that has just ended is about to be acknowledged");
    run(&shop, "UPDATE jobs SET updated_at = now() - interval '1 minute'".to_owned()).await;
    assert_eq!(ghosts(Remedy::Fix).await, 4);
    assert_eq!(ghosts(Remedy::Report).await, 0);
    assert_eq!(shop.queue.depth().await.unwrap(), Depth { scheduled: 0, leased: 0 });
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn workers_are_alive_until_they_are_silent_for_a_lease_and_tell_what_they_do(pool: PgPool) {
    assert!(workers::list(&pool, LEASE).await.unwrap().is_empty());
    let (older, newer) = (BootId::new(), BootId::new());
    let mut busy =
        Pulse { in_hand: 3, settled: 50, lately: Duration::from_secs(5), lately_settled: 20, ..Pulse::default() };
    busy.lately_started.add(Duration::from_secs(2));
    for (boot, pulse) in [(older, &busy), (newer, &Pulse::default())] {
        workers::beat(&pool, boot, "here", pulse).await.unwrap();
    }
    sqlx::query("UPDATE workers SET heartbeat_at = now() - interval '20 seconds' WHERE boot_id = $1")
        .bind(older)
        .execute(&pool)
        .await
        .unwrap();

    let listed = workers::list(&pool, LEASE).await.unwrap();

    assert_eq!(
        listed.iter().map(|worker| (worker.boot_id, worker.alive)).collect::<Vec<_>>(),
        [(older, false), (newer, true)]
    );
    assert!((20.0..3600.0).contains(&listed[0].silent_seconds));
    assert_eq!((listed[0].in_hand, listed[0].host.as_str()), (3, "here"));
    assert_eq!((listed[0].settled, listed[0].settled_per_second), (50, 4.0));
    assert!((2.0..2.5).contains(&listed[0].start_lateness.unwrap().p99));
    assert_eq!((listed[1].settled_per_second, listed[1].start_lateness), (0.0, None));
}

/// As a worker of before migration 0012 does it.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_worker_of_before_says_nothing_of_what_it_does_and_is_listed_all_the_same(pool: PgPool) {
    sqlx::query("INSERT INTO workers (boot_id, host, pid, in_hand) VALUES ($1, 'here', 1, 2)")
        .bind(BootId::new())
        .execute(&pool)
        .await
        .unwrap();
    let listed = workers::list(&pool, LEASE).await.unwrap();
    assert_eq!((listed[0].in_hand, listed[0].settled, listed[0].start_lateness), (2, 0, None));
}
