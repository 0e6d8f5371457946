//! Refunds from the request to the settlement, the worker stepped by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shop_common::db::{Ending, MIGRATOR};
use shop_common::id::{BootId, JobId, OrderId, ProductId};
use shop_common::jobs::act::{self, Verb};
use shop_common::jobs::filter::JobFilter;
use shop_common::jobs::queue::{Depth, Lease};
use shop_common::jobs::retry::Backoff;
use shop_common::jobs::{Token, pause};
use shop_common::orders::claim::{self, Claim};
use shop_common::orders::refund::settle::{Outcome, Settlement};
use shop_common::orders::refund::{self, NewRefund};
use shop_common::orders::settle::Settled;
use shop_common::orders::status::OrderStatus;
use shop_common::payments::ChargeKey;
use shop_common::payments::audit::{self, Action, Kind};
use shop_common::repair;
use shop_common::verify::{self, Ledger};
use shop_testkit::Shop;
use shop_worker::payments::audit::Auditor;
use shop_worker::payments::gateway::{
    CapturedCharge, Charge, ChargeOutcome, Lookup, PaymentGateway, RefundOutcome, Unreachable, VoidOutcome,
};
use shop_worker::payments::simulated::SimulatedGateway;
use shop_worker::runner::{Pools, Runner};
use shop_worker::upkeep::Upkeep;
use sqlx::{AssertSqlSafe, PgPool};
use tokio_util::sync::CancellationToken;

/// What the gateway does when it is asked for a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// Nothing, and does not say so.
    Silence,
    /// Gives the money back, and does not say so.
    RefundInSilence,
    /// Gives the money back, and keeps whoever asked waiting.
    RefundAndHang,
    /// The program dies.
    Panic,
}

/// The simulated gateway, whose next answers to refunds go wrong as a test wants it.
struct Gateway {
    simulated: SimulatedGateway,
    acts: Mutex<Vec<Act>>,
    /// The keys that it was asked to give back.
    refunds: Mutex<Vec<ChargeKey>>,
    /// Of which order the shop refunds the charge while the gateway is asked for a key.
    refunded_meanwhile: Mutex<Option<(Shop, OrderId)>>,
}

#[async_trait]
impl PaymentGateway for Gateway {
    async fn charge(&self, charge: &Charge) -> ChargeOutcome {
        self.simulated.charge(charge).await
    }

    async fn lookup(&self, key: &ChargeKey) -> Lookup {
        let meanwhile = self.refunded_meanwhile.lock().unwrap().take();
        if let Some((shop, order)) = meanwhile {
            refund::request(&shop.pool, wanted(order, true)).await.unwrap();
            self.simulated.refund(key).await;
        }
        self.simulated.lookup(key).await
    }

    async fn void(&self, key: &ChargeKey) -> VoidOutcome {
        self.simulated.void(key).await
    }

    async fn refund(&self, key: &ChargeKey) -> RefundOutcome {
        self.refunds.lock().unwrap().push(key.clone());
        let act = self.acts.lock().unwrap().pop();
        match act {
            Some(Act::Silence) => RefundOutcome::Unknown,
            Some(Act::RefundInSilence) => {
                self.simulated.refund(key).await;
                RefundOutcome::Unknown
            }
            Some(Act::RefundAndHang) => {
                self.simulated.refund(key).await;
                std::future::pending().await
            }
            Some(Act::Panic) => panic!("as the test wants it"),
            None => self.simulated.refund(key).await,
        }
    }

    async fn captured(&self, after: Option<&ChargeKey>, limit: u32) -> Result<Vec<CapturedCharge>, Unreachable> {
        self.simulated.captured(after, limit).await
    }
}

fn gateway(shop: &Shop, acts: &[Act]) -> Arc<Gateway> {
    Arc::new(Gateway {
        simulated: SimulatedGateway::new(shop.pool.clone(), shop.settings.gateway.clone()),
        acts: Mutex::new(acts.iter().rev().copied().collect()),
        refunds: Mutex::default(),
        refunded_meanwhile: Mutex::default(),
    })
}

async fn worker(shop: &Shop, gateway: Arc<dyn PaymentGateway>) -> Arc<Runner> {
    let runner = Arc::new(Runner::new(Pools::same(&shop.pool), shop.redis.clone(), gateway, &shop.settings));
    Upkeep::new(Arc::clone(&runner), shop.redis.clone(), &shop.settings.live, CancellationToken::new())
        .beat()
        .await
        .unwrap();
    runner
}

/// Steps the worker until no job is live; without delays between tries that is soon.
async fn work_off(shop: &Shop, runner: &Arc<Runner>) {
    for _ in 0..200 {
        runner.step().await.unwrap();
        runner.finish().await;
        let live: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE state IN ('scheduled', 'running')")
            .fetch_one(&shop.pool)
            .await
            .unwrap();
        if live == 0 {
            assert_eq!(shop.queue.depth().await.unwrap(), Depth { scheduled: 0, leased: 0 });
            return;
        }
    }
    panic!("jobs are left");
}

/// A shop with a completed order of two of five mugs, paid with that method.
async fn paid_with(pool: PgPool, method: &str) -> (Shop, ProductId, OrderId) {
    let shop = Shop::new(pool);
    let mug = shop.product("2.50", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 2)], method).await;
    work_off(&shop, &worker(&shop, gateway(&shop, &[])).await).await;
    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Completed, 3));
    (shop, mug, order)
}

fn wanted(order: OrderId, restock: bool) -> NewRefund {
    NewRefund { order, restock, reason: None, requested_by: None, request_id: None, trace: None }
}

/// Asks for a refund, and puts its job on the schedule.
async fn requested(shop: &Shop, order: OrderId, restock: bool) -> JobId {
    let job = refund::request(&shop.pool, wanted(order, restock)).await.unwrap().job.unwrap();
    shop.queue.enqueue(&[job]).await.unwrap();
    job
}

/// What the gateway has of an order: each charge's number and state.
async fn charges(shop: &Shop, order: OrderId) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT split_part(c.key, ':', 2) || ' ' || c.state FROM simulated_gateway.charges c
         JOIN payments p ON p.id::text = c.payment WHERE p.order_id = $1 ORDER BY c.key",
    )
    .bind(order)
    .fetch_all(&shop.pool)
    .await
    .unwrap()
}

async fn job(shop: &Shop, job: JobId) -> (String, Option<String>) {
    sqlx::query_as("SELECT state, last_error FROM jobs WHERE id = $1").bind(job).fetch_one(&shop.pool).await.unwrap()
}

async fn broken(shop: &Shop) -> Vec<&'static str> {
    let findings = verify::verify(&shop.pool, Ledger::Here).await.unwrap();
    findings.iter().filter(|finding| !finding.violations.is_empty()).map(|finding| finding.invariant).collect()
}

async fn run(shop: &Shop, sql: &'static str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&shop.pool).await.unwrap();
}

/// Has a worker do an audit, and gives what it found.
async fn audited(shop: &Shop, gateway: Arc<dyn PaymentGateway>) -> Vec<(Kind, Action)> {
    let id = audit::request(&shop.pool, "a test").await.unwrap();
    let auditor = Auditor::new(&*worker(shop, gateway).await, &shop.settings.gateway);
    assert_eq!(auditor.round(&CancellationToken::new()).await.unwrap(), Some(id));
    let (audit, findings) = audit::find(&shop.pool, id).await.unwrap().unwrap();
    assert_eq!(audit.error, None);
    findings.iter().map(|finding| (finding.kind, finding.action)).collect()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refunded_order_gets_its_money_back_by_the_key_it_was_captured_under(pool: PgPool) {
    // Two declines before: the captured charge is the third.
    let (shop, mug, order) = paid_with(pool, "pm_sim_decline_2_then_success").await;
    let gateway = gateway(&shop, &[]);
    requested(&shop, order, true).await;

    work_off(&shop, &worker(&shop, gateway.clone()).await).await;

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Refunded, 5));
    assert_eq!(charges(&shop, order).await, ["1 declined", "2 declined", "3 refunded"]);
    assert_eq!(gateway.refunds.lock().unwrap().len(), 1);
    let told: Vec<String> =
        sqlx::query_scalar("SELECT kind || ' ' || (data->>'status') FROM events ORDER BY seq DESC LIMIT 3")
            .fetch_all(&shop.pool)
            .await
            .unwrap();
    assert_eq!(told, ["order.status REFUNDED", "payment.status REFUNDED", "order.status COMPLETED"]);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refund_without_restocking_leaves_the_stock(pool: PgPool) {
    let (shop, mug, order) = paid_with(pool, "pm_sim_success").await;
    requested(&shop, order, false).await;

    work_off(&shop, &worker(&shop, gateway(&shop, &[])).await).await;

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Refunded, 3));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refund_whose_answers_never_came_is_asked_for_again_by_the_same_key_and_given_once(pool: PgPool) {
    let (shop, mug, order) = paid_with(pool, "pm_sim_success").await;
    let gateway = gateway(&shop, &[Act::Silence, Act::RefundInSilence, Act::Silence]);
    requested(&shop, order, true).await;

    work_off(&shop, &worker(&shop, gateway.clone()).await).await;

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Refunded, 5));
    let keys = gateway.refunds.lock().unwrap().clone();
    assert_eq!(keys, vec![keys[0].clone(); 4]);
    assert_eq!(charges(&shop, order).await, ["1 refunded"]);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refund_is_never_given_up_however_long_the_gateway_is_silent(pool: PgPool) {
    let (shop, _, order) = paid_with(pool, "pm_sim_success").await;
    let refund = requested(&shop, order, true).await;
    run(&shop, "UPDATE jobs SET created_at = now() - interval '40 days', claims = 500, retries = 500").await;
    let gateway = gateway(&shop, &[Act::Silence; 10]);
    let runner = worker(&shop, gateway.clone()).await;

    let asked = || gateway.refunds.lock().unwrap().len();
    for _ in 0..200 {
        if asked() == 5 {
            break;
        }
        runner.step().await.unwrap();
        runner.finish().await;
    }

    assert_eq!(asked(), 5);
    assert_eq!(shop.status(order).await, OrderStatus::Completed);
    assert_eq!(job(&shop, refund).await, ("scheduled".to_owned(), Some("gateway_gave_no_answer".to_owned())));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_gateway_that_is_too_slow_is_asked_again(pool: PgPool) {
    let (mut shop, mug, order) = paid_with(pool, "pm_sim_success").await;
    shop.settings.gateway.timeout_ms = 20;
    let refund = requested(&shop, order, true).await;
    let runner = worker(&shop, gateway(&shop, &[Act::RefundAndHang])).await;

    runner.step().await.unwrap();
    runner.finish().await;

    assert_eq!(job(&shop, refund).await, ("scheduled".to_owned(), Some("gateway_timeout".to_owned())));
    shop.settings.gateway.timeout_ms = 10_000;
    work_off(&shop, &worker(&shop, gateway(&shop, &[])).await).await;
    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Refunded, 5));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refund_that_its_worker_did_and_could_not_settle_is_settled_by_another_and_given_once(pool: PgPool) {
    let (shop, mug, order) = paid_with(pool, "pm_sim_success").await;
    let job = requested(&shop, order, true).await;
    // A worker claims, asks the gateway, and is silent from then on.
    let zombie = BootId::new();
    let lease = Lease { job, token: Token::new(zombie, 1) };
    let claims =
        claim::claim(&shop.pool, &shop.announcer, std::slice::from_ref(&lease), zombie, shop.settings.worker.lease());
    let Claim { key, .. } = claims.await.unwrap().pop().unwrap();
    let gateway = gateway(&shop, &[]);
    assert_eq!(gateway.refund(&key).await, RefundOutcome::Refunded);
    assert_eq!(audited(&shop, gateway.clone()).await, [], "a refund that is wanted is not wrong");
    shop.assert_sound().await;

    work_off(&shop, &worker(&shop, gateway.clone()).await).await;

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Refunded, 5));
    assert_eq!(*gateway.refunds.lock().unwrap(), [key.clone(), key]);
    assert_eq!(charges(&shop, order).await, ["1 refunded"]);
    // It comes back and says the same, too late.
    let backoff = Backoff { base: Duration::ZERO, cap: Duration::ZERO };
    let late = Settlement { lease, outcome: Outcome::Refunded, jitter: 0.5 };
    let settled = refund::settle::settle(&shop.pool, &shop.announcer, backoff, &late).await.unwrap();
    assert_eq!((settled, shop.stock(mug).await), (Settled::Fenced, 5));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refund_of_which_the_gateway_has_no_charge_is_buried_and_reported(pool: PgPool) {
    let (shop, mug, order) = paid_with(pool, "pm_sim_success").await;
    run(&shop, "DELETE FROM simulated_gateway.charges").await;
    let refund = requested(&shop, order, true).await;
    let gateway = gateway(&shop, &[]);

    work_off(&shop, &worker(&shop, gateway.clone()).await).await;

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Completed, 3));
    let (state, error) = job(&shop, refund).await;
    assert_eq!(state, "dead");
    assert!(error.unwrap().starts_with("nothing_captured: the gateway has no captured charge "));
    assert_eq!(broken(&shop).await, ["I2", "I4"]);
    assert_eq!(audited(&shop, gateway).await, [(Kind::Missing, Action::Reported)]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refund_that_kills_its_handler_is_buried_and_an_operator_retries_it(pool: PgPool) {
    let (mut shop, mug, order) = paid_with(pool, "pm_sim_success").await;
    shop.settings.jobs.max_crashes = 3;
    let refund = requested(&shop, order, true).await;
    let gateway = gateway(&shop, &[Act::Panic; 3]);
    let runner = worker(&shop, gateway.clone()).await;

    work_off(&shop, &runner).await;

    assert_eq!(gateway.refunds.lock().unwrap().len(), 3);
    let died = "poison: its worker or handler died 3 times".to_owned();
    assert_eq!(job(&shop, refund).await, ("dead".to_owned(), Some(died)));
    let revived = act::act(&shop.pool, Verb::Retry, &JobFilter::default(), &[refund]).await.unwrap();
    assert_eq!(revived, [refund]);
    shop.queue.enqueue(&revived).await.unwrap();
    work_off(&shop, &runner).await;
    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Refunded, 5));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refund_that_cannot_be_read_moves_no_money_and_a_repair_makes_another(pool: PgPool) {
    let (shop, _, order) = paid_with(pool, "pm_sim_success").await;
    for payload in ["'{}'", "jsonb_build_object('paymentId', gen_random_uuid())"] {
        let refund = match refund::request(&shop.pool, wanted(order, true)).await.unwrap().job {
            Some(job) => job,
            None => shop.job_of(order).await,
        };
        let sql = format!("UPDATE jobs SET payload = {payload}, state = 'scheduled' WHERE id = '{refund}'");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&shop.pool).await.unwrap();
        shop.queue.enqueue(&[refund]).await.unwrap();
        work_off(&shop, &worker(&shop, gateway(&shop, &[])).await).await;
        let (state, error) = job(&shop, refund).await;
        assert!(state == "dead" && error.unwrap().starts_with("poison: "), "{payload}");
        assert_eq!(charges(&shop, order).await, ["1 captured"]);
    }

    let mut repairs = Vec::new();
    repair::repair(&shop.pool, Ending::Commit, &mut repairs).await.unwrap();
    shop.queue.enqueue(&[repairs[0].job]).await.unwrap();
    work_off(&shop, &worker(&shop, gateway(&shop, &[])).await).await;

    assert_eq!(shop.status(order).await, OrderStatus::Refunded);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn no_money_goes_back_while_the_queue_is_paused(pool: PgPool) {
    let (shop, _, order) = paid_with(pool, "pm_sim_success").await;
    pause::pause(&shop.pool, None).await.unwrap();
    requested(&shop, order, true).await;
    let gateway = gateway(&shop, &[]);
    let runner = worker(&shop, gateway.clone()).await;

    assert_eq!(runner.step().await.unwrap().taken, 0);
    runner.finish().await;
    assert!(gateway.refunds.lock().unwrap().is_empty());

    pause::resume(&shop.pool).await.unwrap();
    shop.queue.enqueue(&[shop.job_of(order).await]).await.unwrap();
    work_off(&shop, &runner).await;
    assert_eq!(shop.status(order).await, OrderStatus::Refunded);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_audit_finds_nothing_wrong_with_a_refund_before_it_is_done_nor_after(pool: PgPool) {
    let (shop, _, order) = paid_with(pool, "pm_sim_success").await;
    let gateway = gateway(&shop, &[Act::RefundInSilence]);
    requested(&shop, order, true).await;
    assert_eq!(audited(&shop, gateway.clone()).await, [], "it is asked for");

    let runner = worker(&shop, gateway.clone()).await;
    runner.step().await.unwrap();
    runner.finish().await;
    assert_eq!(
        (charges(&shop, order).await, shop.status(order).await),
        (vec!["1 refunded".into()], OrderStatus::Completed)
    );
    assert_eq!(audited(&shop, gateway.clone()).await, [], "the gateway has done it, and the shop does not know");

    work_off(&shop, &runner).await;
    assert_eq!(audited(&shop, gateway.clone()).await, [], "both know");
    assert_eq!(gateway.refunds.lock().unwrap().len(), 2, "the audits have asked for no refund");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refund_that_an_older_backup_has_forgotten_is_reported_and_asked_for_again_moves_no_more_money(pool: PgPool) {
    let (shop, mug, order) = paid_with(pool, "pm_sim_success").await;
    let gateway = gateway(&shop, &[]);
    let runner = worker(&shop, gateway.clone()).await;
    requested(&shop, order, true).await;
    work_off(&shop, &runner).await;
    run(
        &shop,
        "DELETE FROM refunds; DELETE FROM jobs WHERE kind = 'refund_payment'; UPDATE orders SET status = 'COMPLETED';
         UPDATE payments SET status = 'COMPLETED'; UPDATE products SET stock = stock - 2",
    )
    .await;
    assert_eq!(broken(&shop).await, ["I2"]);
    assert_eq!(audited(&shop, gateway.clone()).await, [(Kind::Missing, Action::Reported)]);

    requested(&shop, order, true).await;
    work_off(&shop, &runner).await;

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Refunded, 5));
    assert_eq!(charges(&shop, order).await, ["1 refunded"]);
    assert_eq!(audited(&shop, gateway).await, []);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_audit_is_not_misled_by_a_refund_that_comes_while_it_looks(pool: PgPool) {
    let (shop, _, order) = paid_with(pool, "pm_sim_success").await;
    // A second charge, so that the gateway is asked for the first one by its key.
    run(
        &shop,
        "INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, state)
         SELECT payment || ':2', payment, amount_minor, currency, method, 'captured' FROM simulated_gateway.charges",
    )
    .await;
    let gateway = gateway(&shop, &[]);
    *gateway.refunded_meanwhile.lock().unwrap() = Some((Shop::new(shop.pool.clone()), order));

    let findings = audited(&shop, gateway.clone()).await;

    assert_eq!(findings, [(Kind::Double, Action::Reported)], "the first one is not missing: it is refunded");
    assert!(gateway.refunds.lock().unwrap().is_empty());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refund_that_the_gateway_has_taken_back_is_reported_and_not_given_again(pool: PgPool) {
    let (shop, _, order) = paid_with(pool, "pm_sim_success").await;
    let gateway = gateway(&shop, &[]);
    requested(&shop, order, true).await;
    work_off(&shop, &worker(&shop, gateway.clone()).await).await;
    run(&shop, "UPDATE simulated_gateway.charges SET state = 'captured'").await;

    assert_eq!(audited(&shop, gateway.clone()).await, [(Kind::Forgotten, Action::Reported)]);

    assert_eq!(charges(&shop, order).await, ["1 captured"]);
    assert_eq!(broken(&shop).await, ["I2"]);
}
