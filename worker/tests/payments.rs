//! Payments from claim to settlement, the worker stepped by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use shop_common::db::{Ending, Locks, MIGRATOR};
use shop_common::id::{BootId, JobId, OrderId};
use shop_common::jobs::act::{self, Verb};
use shop_common::jobs::filter::JobFilter;
use shop_common::jobs::queue::{Depth, Lease};
use shop_common::jobs::retry::Backoff;
use shop_common::jobs::{Token, pause};
use shop_common::orders::claim::{self, Claim};
use shop_common::orders::settle::{self, Settled, Settlement};
use shop_common::orders::status::OrderStatus;
use shop_common::payments::next::Policy;
use shop_common::payments::{ChargeKey, Outcome};
use shop_common::repair;
use shop_testkit::Shop;
use shop_worker::payments::gateway::{
    CapturedCharge, Charge, ChargeOutcome, Lookup, PaymentGateway, RefundOutcome, Unreachable, VoidOutcome,
};
use shop_worker::payments::simulated::SimulatedGateway;
use shop_worker::runner::{Pools, Runner};
use shop_worker::upkeep::Upkeep;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

const POLICY: Policy = Policy { backoff: Backoff { base: Duration::ZERO, cap: Duration::ZERO }, max_attempts: 5 };

fn simulated(shop: &Shop) -> Arc<SimulatedGateway> {
    Arc::new(SimulatedGateway::new(shop.pool.clone(), shop.settings.gateway.clone()))
}

async fn worker(shop: &Shop, gateway: Arc<dyn PaymentGateway>) -> Arc<Runner> {
    let runner = Arc::new(Runner::new(Pools::same(&shop.pool), shop.redis.clone(), gateway, &shop.settings));
    Upkeep::new(Arc::clone(&runner), shop.redis.clone(), &shop.settings.live, CancellationToken::new())
        .beat()
        .await
        .unwrap();
    runner
}

/// Steps the worker until nothing is scheduled; without delays between tries that is soon.
async fn work_off(shop: &Shop, runner: &Arc<Runner>) {
    for _ in 0..200 {
        runner.step().await.unwrap();
        runner.finish().await;
        let live: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE state IN ('scheduled', 'running')")
            .fetch_one(&shop.pool)
            .await
            .unwrap();
        if live == 0 {
            return;
        }
    }
    panic!("jobs are left");
}

/// Orders two of five mugs with that method, works everything off, and gives the order and what is left.
async fn paid_with(shop: &Shop, method: &str) -> (OrderId, i64) {
    let mug = shop.product("2.50", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 2)], method).await;
    let runner = worker(shop, simulated(shop)).await;
    work_off(shop, &runner).await;
    shop.assert_sound().await;
    assert_eq!(shop.queue.depth().await.unwrap(), Depth { scheduled: 0, leased: 0 });
    (order, shop.stock(mug).await)
}

async fn attempts(shop: &Shop, order: OrderId) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT a.outcome || coalesce(' ' || a.code, '') || ' #' || split_part(a.charge_key, ':', 2)
         FROM payment_attempts a JOIN payments p ON p.id = a.payment_id WHERE p.order_id = $1 ORDER BY a.claim",
    )
    .bind(order)
    .fetch_all(&shop.pool)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_approved_payment_completes_its_order(pool: PgPool) {
    let shop = Shop::new(pool);
    let (order, left) = paid_with(&shop, "pm_sim_success").await;

    assert_eq!((shop.status(order).await, left, shop.captures(order).await), (OrderStatus::Completed, 3, 1));
    assert_eq!(attempts(&shop, order).await, ["approved #1"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_failed_payment_restores_stock(pool: PgPool) {
    let shop = Shop::new(pool);
    let (order, left) = paid_with(&shop, "pm_sim_decline_card_declined").await;

    assert_eq!((shop.status(order).await, left, shop.captures(order).await), (OrderStatus::Failed, 5, 0));
    assert_eq!(attempts(&shop, order).await, ["declined card_declined #1"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn transient_failures_are_retried_with_the_same_key(pool: PgPool) {
    let shop = Shop::new(pool);
    let (order, left) = paid_with(&shop, "pm_sim_flaky_2").await;

    assert_eq!((shop.status(order).await, left, shop.captures(order).await), (OrderStatus::Completed, 3, 1));
    assert_eq!(
        attempts(&shop, order).await,
        ["transient gateway_error #1", "transient gateway_error #1", "approved #1"]
    );
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn declines_that_may_be_retried_are_charged_anew_with_a_new_key(pool: PgPool) {
    let shop = Shop::new(pool);
    let (order, _) = paid_with(&shop, "pm_sim_decline_2_then_success").await;

    assert_eq!((shop.status(order).await, shop.captures(order).await), (OrderStatus::Completed, 1));
    assert_eq!(
        attempts(&shop, order).await,
        ["declined try_again_later #1", "declined try_again_later #2", "approved #3"]
    );
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn spent_attempts_fail_the_order_after_the_key_is_void(pool: PgPool) {
    let shop = Shop::new(pool);
    let (order, left) = paid_with(&shop, "pm_sim_flaky_99").await;

    assert_eq!((shop.status(order).await, left), (OrderStatus::Failed, 5));
    let attempts = attempts(&shop, order).await;
    assert_eq!(attempts.len(), 5);
    assert_eq!(attempts[4], "voided gateway_error #1");
    let gateway = simulated(&shop);
    let key: String =
        sqlx::query_scalar("SELECT key FROM simulated_gateway.charges").fetch_one(&shop.pool).await.unwrap();
    let payment = key.split(':').next().unwrap().parse().unwrap();
    assert!(matches!(gateway.lookup(&ChargeKey::new(payment, 1)).await, Lookup::Found(ChargeOutcome::Declined { .. })));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_charge_whose_answer_never_came_is_looked_up_and_not_charged_again(pool: PgPool) {
    let shop = Shop::new(pool);
    let (order, _) = paid_with(&shop, "pm_sim_timeout_charged").await;

    assert_eq!((shop.status(order).await, shop.captures(order).await), (OrderStatus::Completed, 1));
    let calls: i32 =
        sqlx::query_scalar("SELECT calls FROM simulated_gateway.charges").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(calls, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_charge_that_never_arrived_is_charged_again_with_the_same_key_and_costs_no_attempt(pool: PgPool) {
    let shop = Shop::new(pool);
    let (order, _) = paid_with(&shop, "pm_sim_timeout_not_charged").await;

    assert_eq!((shop.status(order).await, shop.captures(order).await), (OrderStatus::Completed, 1));
    assert_eq!(attempts(&shop, order).await, ["unknown gateway_timeout #1", "approved #1"]);
    let spent: i32 = sqlx::query_scalar("SELECT attempts FROM jobs").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(spent, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_slow_gateway_is_asked_what_became_of_it(pool: PgPool) {
    let mut shop = Shop::new(pool);
    shop.settings.gateway.timeout_ms = 20;
    let (order, _) = paid_with(&shop, "pm_sim_slow_100").await;

    assert_eq!((shop.status(order).await, shop.captures(order).await), (OrderStatus::Completed, 1));
    assert!(attempts(&shop, order).await.contains(&"unknown gateway_timeout #1".to_owned()));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_payload_that_cannot_be_read_is_closed_by_void_and_the_batch_beside_it_is_unharmed(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let customer = shop.customer().await;
    let poisoned = shop.order(customer, &[(mug, 1)], "pm_sim_success").await;
    let beside = shop.order(customer, &[(mug, 1)], "pm_sim_success").await;
    sqlx::query("UPDATE jobs SET payload = '{}' WHERE order_id = $1").bind(poisoned).execute(&shop.pool).await.unwrap();

    work_off(&shop, &worker(&shop, simulated(&shop)).await).await;

    assert_eq!(shop.status(poisoned).await, OrderStatus::Failed);
    assert_eq!(shop.status(beside).await, OrderStatus::Completed);
    assert_eq!(shop.stock(mug).await, 4);
    let error: String =
        sqlx::query_scalar("SELECT last_error FROM jobs WHERE state = 'dead'").fetch_one(&shop.pool).await.unwrap();
    assert!(error.starts_with("poison: "), "{error}");
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_job_of_a_newer_version_is_left_for_a_newer_worker(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "pm_sim_success").await;
    sqlx::query("UPDATE jobs SET version = 2").execute(&shop.pool).await.unwrap();
    let runner = worker(&shop, simulated(&shop)).await;

    for _ in 0..3 {
        runner.step().await.unwrap();
        runner.finish().await;
    }

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Processing, 4));
    let state: String = sqlx::query_scalar("SELECT state FROM jobs").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(state, "scheduled");
    assert!(attempts(&shop, order).await.is_empty());
}

/// A gateway that nobody answers at, or that panics, as the test wants it.
struct Broken {
    panics: bool,
    voids: VoidOutcome,
    charges: AtomicUsize,
}

#[async_trait]
impl PaymentGateway for Broken {
    async fn charge(&self, _: &Charge) -> ChargeOutcome {
        self.charges.fetch_add(1, Ordering::Relaxed);
        assert!(!self.panics, "as the test wants it");
        ChargeOutcome::Unknown { code: "connection_refused".to_owned() }
    }

    async fn lookup(&self, _: &ChargeKey) -> Lookup {
        Lookup::Unknown
    }

    async fn void(&self, _: &ChargeKey) -> VoidOutcome {
        self.voids.clone()
    }

    async fn refund(&self, _: &ChargeKey) -> RefundOutcome {
        RefundOutcome::Unknown
    }

    async fn captured(&self, _: Option<&ChargeKey>, _: u32) -> Result<Vec<CapturedCharge>, Unreachable> {
        Err(Unreachable)
    }
}

fn broken(panics: bool, voids: VoidOutcome) -> Arc<Broken> {
    Arc::new(Broken { panics, voids, charges: AtomicUsize::new(0) })
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn no_order_fails_because_the_gateway_is_away(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    let gateway = broken(false, VoidOutcome::Unknown);
    let runner = worker(&shop, gateway.clone()).await;

    while gateway.charges.load(Ordering::Relaxed) < 20 {
        runner.step().await.unwrap();
        runner.finish().await;
    }

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Processing, 4));
    let spent: i32 = sqlx::query_scalar("SELECT attempts FROM jobs").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(spent, 0);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_is_given_up_by_void_when_the_gateway_was_away_for_a_day(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    sqlx::query("UPDATE jobs SET created_at = now() - interval '25 hours', claims = 9, retries = 9")
        .execute(&shop.pool)
        .await
        .unwrap();
    let gateway = broken(false, VoidOutcome::Voided);

    work_off(&shop, &worker(&shop, gateway.clone()).await).await;

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Failed, 5));
    assert_eq!(gateway.charges.load(Ordering::Relaxed), 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_that_has_waited_a_day_for_a_worker_is_charged(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "pm_sim_success").await;
    sqlx::query("UPDATE jobs SET created_at = now() - interval '25 hours'").execute(&shop.pool).await.unwrap();

    work_off(&shop, &worker(&shop, simulated(&shop)).await).await;

    assert_eq!(shop.status(order).await, OrderStatus::Completed);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_job_whose_payment_has_ended_is_buried_and_not_claimed_for_ever(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    shop.order(shop.customer().await, &[(mug, 1)], "pm_sim_success").await;
    sqlx::query("UPDATE payments SET status = 'FAILED'").execute(&shop.pool).await.unwrap();
    let runner = worker(&shop, simulated(&shop)).await;

    assert_eq!(runner.step().await.unwrap().taken, 0);

    let job: (String, String) =
        sqlx::query_as("SELECT state, last_error FROM jobs").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(job, ("dead".to_owned(), "the payment is not pending".to_owned()));
    assert!(runner.in_hand().is_empty());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn stock_stays_reserved_while_the_gateway_does_not_say_that_the_key_is_void(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    sqlx::query("UPDATE jobs SET created_at = now() - interval '25 hours', claims = 9, retries = 9")
        .execute(&shop.pool)
        .await
        .unwrap();
    let runner = worker(&shop, broken(false, VoidOutcome::Unknown)).await;

    for _ in 0..5 {
        runner.step().await.unwrap();
        runner.finish().await;
    }

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Processing, 4));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_void_that_comes_too_late_is_an_approval(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    sqlx::query("UPDATE jobs SET created_at = now() - interval '25 hours', claims = 9, retries = 9")
        .execute(&shop.pool)
        .await
        .unwrap();
    let captured = VoidOutcome::AlreadyCaptured { reference: "ch_1".to_owned() };

    work_off(&shop, &worker(&shop, broken(false, captured)).await).await;

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Completed, 4));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_handler_that_panics_every_time_is_closed_as_poison(pool: PgPool) {
    let mut shop = Shop::new(pool);
    shop.settings.jobs.max_crashes = 3;
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    let gateway = broken(true, VoidOutcome::Voided);

    work_off(&shop, &worker(&shop, gateway.clone()).await).await;

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Failed, 5));
    assert_eq!(gateway.charges.load(Ordering::Relaxed), 3);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_worker_that_lost_its_lease_settles_nothing(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "pm_sim_success").await;
    let job = shop.job_of(order).await;
    // A worker claims and is silent from then on.
    let zombie = BootId::new();
    let lease = Lease { job, token: Token::new(zombie, 1) };
    let claims =
        claim::claim(&shop.pool, &shop.announcer, std::slice::from_ref(&lease), zombie, shop.settings.worker.lease())
            .await
            .unwrap();
    // Another one takes over and completes the order.
    work_off(&shop, &worker(&shop, simulated(&shop)).await).await;
    assert_eq!(shop.status(order).await, OrderStatus::Completed);

    // The first one comes back and says that the payment was declined.
    let late = Settlement {
        lease,
        key: claims[0].key.clone(),
        outcome: Outcome::Declined { code: "card_declined".to_owned(), retryable: false },
        jitter: 0.5,
    };
    assert_eq!(
        settle::settle(&shop.pool, &shop.announcer, POLICY, Locks::Usual, &[late]).await.unwrap(),
        [Settled::Fenced]
    );
    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Completed, 4));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_settlement_whose_answer_got_lost_can_be_handed_in_again(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "pm_sim_decline_x").await;
    let job = shop.job_of(order).await;
    let boot = BootId::new();
    let lease = Lease { job, token: Token::new(boot, 1) };
    let claims =
        claim::claim(&shop.pool, &shop.announcer, std::slice::from_ref(&lease), boot, shop.settings.worker.lease())
            .await
            .unwrap();
    let settlement = Settlement {
        lease,
        key: claims[0].key.clone(),
        outcome: Outcome::Declined { code: "x".to_owned(), retryable: false },
        jitter: 0.5,
    };

    for _ in 0..2 {
        let settled =
            settle::settle(&shop.pool, &shop.announcer, POLICY, Locks::Usual, std::slice::from_ref(&settlement))
                .await
                .unwrap();
        assert_eq!(settled, [Settled::Ended(OrderStatus::Failed)]);
    }

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Failed, 5));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_worker_that_must_stop_gives_back_what_it_has_in_hand(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "pm_sim_slow_60000").await;
    let runner = worker(&shop, simulated(&shop)).await;
    assert_eq!(runner.step().await.unwrap().taken, 1);

    runner.abandon().await;

    assert!(runner.in_hand().is_empty());
    assert_eq!(shop.queue.depth().await.unwrap(), Depth { scheduled: 1, leased: 0 });
    sqlx::query("UPDATE payments SET method = 'pm_sim_success'").execute(&shop.pool).await.unwrap();
    work_off(&shop, &worker(&shop, simulated(&shop)).await).await;
    assert_eq!((shop.status(order).await, shop.captures(order).await), (OrderStatus::Completed, 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_on_the_schedule_but_not_to_be_done_is_sorted_out(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    sqlx::query("UPDATE jobs SET run_at = now() + interval '1 hour'").execute(&shop.pool).await.unwrap();
    let ghost = JobId::new();
    shop.queue.enqueue(&[ghost]).await.unwrap();
    let runner = worker(&shop, simulated(&shop)).await;

    let step = runner.step().await.unwrap();

    assert_eq!((step.due, step.taken), (2, 0));
    assert!(runner.in_hand().is_empty());
    assert_eq!(shop.queue.depth().await.unwrap(), Depth { scheduled: 1, leased: 0 });
    let job: JobId = sqlx::query_scalar("SELECT id FROM jobs").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(shop.queue.place_of(job, None).await.unwrap(), Some("scheduled"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_worker_claims_nothing_while_it_is_paused_and_goes_on_afterwards(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "pm_sim_success").await;
    let runner = worker(&shop, simulated(&shop)).await;
    pause::pause(&shop.pool, None).await.unwrap();

    // Before it has heard of the pause, the table refuses and the job goes back.
    let step = runner.step().await.unwrap();
    assert_eq!((step.due, step.taken), (1, 0));
    assert_eq!(shop.queue.depth().await.unwrap(), Depth { scheduled: 1, leased: 0 });
    shop.queue.enqueue(&[shop.job_of(order).await]).await.unwrap();
    // After that, it leaves the schedule alone.
    runner.look_for_pause().await.unwrap();
    assert_eq!(runner.step().await.unwrap().due, 0);
    assert_eq!(shop.status(order).await, OrderStatus::Pending);

    pause::resume(&shop.pool).await.unwrap();
    runner.look_for_pause().await.unwrap();
    work_off(&shop, &runner).await;
    assert_eq!(shop.status(order).await, OrderStatus::Completed);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_job_in_hand_ends_while_claiming_is_paused(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "pm_sim_slow_20").await;
    let runner = worker(&shop, simulated(&shop)).await;
    assert_eq!(runner.step().await.unwrap().taken, 1);

    pause::pause(&shop.pool, None).await.unwrap();
    runner.look_for_pause().await.unwrap();
    runner.finish().await;

    assert_eq!(shop.status(order).await, OrderStatus::Completed);
}

/// Gives an order up whose job is dead, and works it off.
async fn give_up(shop: &Shop, order: OrderId) {
    sqlx::query("UPDATE jobs SET state = 'dead' WHERE order_id = $1").bind(order).execute(&shop.pool).await.unwrap();
    let reason = "sold_elsewhere".parse().unwrap();
    let jobs =
        act::act(&shop.pool, Verb::Cancel(&reason), &JobFilter::default(), &[shop.job_of(order).await]).await.unwrap();
    shop.queue.enqueue(&jobs).await.unwrap();
    work_off(shop, &worker(shop, simulated(shop)).await).await;
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_that_is_given_up_is_voided_and_not_charged(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "pm_sim_success").await;

    give_up(&shop, order).await;

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Failed, 5));
    assert_eq!(attempts(&shop, order).await, ["voided sold_elsewhere #1"]);
    assert_eq!(shop.captures(order).await, 0);
}

/// Charges an order's payment, and forgets it: the worker died before the settlement.
async fn charged_and_forgotten(shop: &Shop, order: OrderId) {
    let boot = BootId::new();
    let lease = Lease { job: shop.job_of(order).await, token: Token::new(boot, 1) };
    let claims = claim::claim(&shop.pool, &shop.announcer, &[lease], boot, shop.settings.worker.lease()).await.unwrap();
    let Claim { key, payment, amount, currency, method, .. } = claims[0].clone();
    simulated(shop).charge(&Charge { key, payment, amount, currency, method }).await;
    assert_eq!(shop.captures(order).await, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_that_is_given_up_too_late_is_completed(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "pm_sim_success").await;
    charged_and_forgotten(&shop, order).await;

    give_up(&shop, order).await;

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Completed, 4));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_job_that_is_made_by_a_repair_does_not_charge_again(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "pm_sim_success").await;
    charged_and_forgotten(&shop, order).await;
    sqlx::query("DELETE FROM jobs").execute(&shop.pool).await.unwrap();

    let mut repairs = Vec::new();
    repair::repair(&shop.pool, Ending::Commit, &mut repairs).await.unwrap();
    shop.queue.enqueue(&[repairs[0].job]).await.unwrap();
    work_off(&shop, &worker(&shop, simulated(&shop)).await).await;

    assert_eq!((shop.status(order).await, shop.captures(order).await), (OrderStatus::Completed, 1));
    shop.assert_sound().await;
}
