//! The schedule and its leases, on a real Redis; and the reconciler, between it and the table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use shop_common::db::MIGRATOR;
use shop_common::id::{BootId, JobId};
use shop_common::jobs::queue::{CHUNK, Depth, Lease, Queue};
use shop_common::jobs::workers::{self, Pulse};
use shop_common::jobs::{ledger, reconcile};
use shop_common::orders::claim;
use shop_common::redis::Redis;
use shop_testkit::Shop;
use sqlx::PgPool;

const LEASE: Duration = Duration::from_secs(15);
const HOUR: Duration = Duration::from_secs(3600);

fn queue() -> (Queue, Redis) {
    let (_, mut settings) = shop_common::config::load().unwrap();
    settings.databases.redis.prefix = format!("test-{}", JobId::new());
    let redis = Redis::connect(&settings.databases.redis).unwrap();
    (Queue::new(redis.clone()), redis)
}

async fn flush(shop: &Shop) {
    let keys = [shop.redis.key("sched"), shop.redis.key("lease")];
    redis::AsyncCommands::del::<_, ()>(&mut shop.redis.connection(), &keys).await.unwrap();
}

#[tokio::test]
async fn due_jobs_are_claimed_once_oldest_first_and_no_more_than_asked_for() {
    let (queue, _) = queue();
    let jobs: Vec<JobId> = (0..5).map(|_| JobId::new()).collect();
    queue.enqueue(&jobs).await.unwrap();

    let first = queue.claim(3, LEASE, BootId::new(), 1).await.unwrap();
    let rest = queue.claim(100, LEASE, BootId::new(), 1).await.unwrap();

    assert_eq!(first.leases.iter().map(|lease| lease.job).collect::<Vec<_>>(), jobs[..3]);
    assert_eq!(rest.leases.iter().map(|lease| lease.job).collect::<Vec<_>>(), jobs[3..]);
    assert_eq!(queue.depth().await.unwrap(), Depth { scheduled: 0, leased: 5 });
}

#[tokio::test]
async fn a_job_of_later_is_not_due_and_says_when_it_will_be() {
    let (queue, _) = queue();
    queue.schedule(&[(JobId::new(), HOUR)]).await.unwrap();

    let claimed = queue.claim(10, LEASE, BootId::new(), 1).await.unwrap();

    assert!(claimed.leases.is_empty());
    assert!(claimed.next_due.is_some_and(|wait| wait > HOUR / 2 && wait <= HOUR));
}

#[tokio::test]
async fn a_job_that_is_scheduled_already_keeps_its_time() {
    let (queue, _) = queue();
    let job = JobId::new();
    queue.enqueue(&[job]).await.unwrap();
    assert_eq!(queue.schedule(&[(job, HOUR)]).await.unwrap(), 0);
    assert_eq!(queue.claim(10, LEASE, BootId::new(), 1).await.unwrap().leases.len(), 1);
}

#[tokio::test]
async fn only_the_very_lease_is_acknowledged() {
    let (queue, _) = queue();
    let job = JobId::new();
    queue.enqueue(&[job]).await.unwrap();
    let stale = queue.claim(1, Duration::ZERO, BootId::new(), 1).await.unwrap().leases;
    assert_eq!(queue.reap().await.unwrap(), 1);
    let fresh = queue.claim(1, LEASE, BootId::new(), 1).await.unwrap().leases;

    queue.ack(&stale).await.unwrap();
    assert_eq!(queue.depth().await.unwrap(), Depth { scheduled: 0, leased: 1 });
    queue.ack(&fresh).await.unwrap();
    assert_eq!(queue.depth().await.unwrap(), Depth { scheduled: 0, leased: 0 });
}

#[tokio::test]
async fn an_expired_lease_is_reaped_unless_it_is_prolonged() {
    let (queue, _) = queue();
    queue.enqueue(&[JobId::new(), JobId::new()]).await.unwrap();
    let leases = queue.claim(2, Duration::ZERO, BootId::new(), 1).await.unwrap().leases;
    queue.extend(&leases[..1], LEASE).await.unwrap();

    assert_eq!(queue.reap().await.unwrap(), 1);
    assert_eq!(queue.claim(2, LEASE, BootId::new(), 1).await.unwrap().leases[0].job, leases[1].job);
}

#[tokio::test]
async fn a_prolonged_lease_that_was_reaped_meanwhile_does_not_come_back() {
    let (queue, _) = queue();
    queue.enqueue(&[JobId::new()]).await.unwrap();
    let leases = queue.claim(1, Duration::ZERO, BootId::new(), 1).await.unwrap().leases;
    queue.reap().await.unwrap();

    queue.extend(&leases, LEASE).await.unwrap();

    assert_eq!(queue.depth().await.unwrap(), Depth { scheduled: 1, leased: 0 });
}

#[tokio::test]
async fn a_released_job_is_due_after_its_delay() {
    let (queue, _) = queue();
    queue.enqueue(&[JobId::new(), JobId::new()]).await.unwrap();
    let leases = queue.claim(2, LEASE, BootId::new(), 1).await.unwrap().leases;

    queue.release(&[(leases[0].clone(), Duration::ZERO), (leases[1].clone(), HOUR)]).await.unwrap();

    assert_eq!(queue.depth().await.unwrap(), Depth { scheduled: 2, leased: 0 });
    assert_eq!(queue.claim(2, LEASE, BootId::new(), 1).await.unwrap().leases[0].job, leases[0].job);
}

#[tokio::test]
async fn more_jobs_than_a_script_takes_at_once_are_all_scheduled_and_reaped() {
    let (queue, _) = queue();
    let jobs: Vec<JobId> = (0..2 * CHUNK + 1).map(|_| JobId::new()).collect();
    queue.enqueue(&jobs).await.unwrap();
    for first in 0..3 {
        queue.claim(CHUNK, Duration::ZERO, BootId::new(), first * CHUNK as u64).await.unwrap();
    }
    assert_eq!(queue.reap().await.unwrap(), jobs.len());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn of_two_workers_with_the_same_job_one_takes_it(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    let job = shop.job_of(order).await;
    let mut taken = Vec::new();
    for _ in 0..2 {
        let boot = BootId::new();
        workers::beat(&shop.pool, boot, "test", &Pulse::default()).await.unwrap();
        let lease = Lease { job, token: shop_common::jobs::Token::new(boot, 1) };
        taken.push(claim::claim(&shop.pool, &shop.announcer, &[lease], boot, LEASE).await.unwrap().len());
    }
    assert_eq!(taken, [1, 0]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_silent_workers_job_is_taken_over_and_a_crash_costs_no_attempt(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    let job = shop.job_of(order).await;
    let mut claims = Vec::new();
    for _ in 0..2 {
        // Neither worker has ever given a sign of life.
        let boot = BootId::new();
        let lease = Lease { job, token: shop_common::jobs::Token::new(boot, 1) };
        claims.extend(claim::claim(&shop.pool, &shop.announcer, &[lease], boot, LEASE).await.unwrap());
    }
    assert_eq!(claims.iter().map(|claim| (claim.job.claims, claim.job.attempts)).collect::<Vec<_>>(), [(1, 0), (2, 0)]);
    assert_eq!(claims[0].key, claims[1].key);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_wiped_redis_gets_its_due_jobs_back(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 5).await;
    for _ in 0..3 {
        shop.order(customer, &[(mug, 1)], "test").await;
    }
    flush(&shop).await;
    assert_eq!(
        reconcile::reconcile(&shop.pool, &shop.queue, LEASE).await.unwrap(),
        0,
        "an enqueue may still be on the way"
    );
    sqlx::query("UPDATE jobs SET run_at = now() - interval '2 seconds'").execute(&shop.pool).await.unwrap();
    flush(&shop).await;

    assert_eq!(reconcile::reconcile(&shop.pool, &shop.queue, LEASE).await.unwrap(), 3);
    assert_eq!(reconcile::reconcile(&shop.pool, &shop.queue, LEASE).await.unwrap(), 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_job_in_the_hands_of_a_living_worker_is_not_scheduled_again_and_an_orphan_is(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    let boot = BootId::new();
    workers::beat(&shop.pool, boot, "test", &Pulse::default()).await.unwrap();
    let lease = Lease { job: shop.job_of(order).await, token: shop_common::jobs::Token::new(boot, 1) };
    assert_eq!(claim::claim(&shop.pool, &shop.announcer, &[lease], boot, LEASE).await.unwrap().len(), 1);
    flush(&shop).await;

    assert_eq!(reconcile::reconcile(&shop.pool, &shop.queue, LEASE).await.unwrap(), 0);
    workers::leave(&shop.pool, boot).await.unwrap();
    assert_eq!(reconcile::reconcile(&shop.pool, &shop.queue, LEASE).await.unwrap(), 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_claim_whose_answer_got_lost_is_given_back(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    let boot = BootId::new();
    workers::beat(&shop.pool, boot, "test", &Pulse::default()).await.unwrap();
    let lease = Lease { job: shop.job_of(order).await, token: shop_common::jobs::Token::new(boot, 1) };
    claim::claim(&shop.pool, &shop.announcer, std::slice::from_ref(&lease), boot, LEASE).await.unwrap();

    let disown = |in_hand, since| ledger::disown(&shop.pool, boot, in_hand, since);
    assert_eq!(disown(&[], LEASE).await.unwrap(), 0, "it may have been claimed this very moment");
    assert_eq!(disown(std::slice::from_ref(&lease), Duration::ZERO).await.unwrap(), 0, "it is in hand");
    assert_eq!(disown(&[], Duration::ZERO).await.unwrap(), 1);
}
