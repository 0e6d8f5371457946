//! The gateway's ledger against the shop's payments: what the shop forgot is given back, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use shop_common::db::MIGRATOR;
use shop_common::id::{AuditId, OrderId, PaymentId};
use shop_common::jobs::pause;
use shop_common::orders::status::OrderStatus;
use shop_common::payments::ChargeKey;
use shop_common::payments::audit::{self, Action, Finding, Kind};
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

/// A worker that is alive.
async fn worker(shop: &Shop, gateway: Arc<dyn PaymentGateway>) -> Arc<Runner> {
    let runner = Arc::new(Runner::new(Pools::same(&shop.pool), shop.redis.clone(), gateway, &shop.settings));
    Upkeep::new(Arc::clone(&runner), shop.redis.clone(), &shop.settings.live, CancellationToken::new())
        .beat()
        .await
        .unwrap();
    runner
}

fn simulated(shop: &Shop) -> Arc<SimulatedGateway> {
    Arc::new(SimulatedGateway::new(shop.pool.clone(), shop.settings.gateway.clone()))
}

/// A shop with one completed order of two of five mugs, and the key it was charged with.
async fn paid(pool: PgPool) -> (Shop, OrderId, ChargeKey) {
    let shop = Shop::new(pool);
    let mug = shop.product("2.50", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 2)], "pm_sim_success").await;
    let runner = worker(&shop, simulated(&shop)).await;
    runner.step().await.unwrap();
    runner.finish().await;
    assert_eq!(shop.status(order).await, OrderStatus::Completed);
    let payment: PaymentId = sqlx::query_scalar("SELECT id FROM payments").fetch_one(&shop.pool).await.unwrap();
    (shop, order, ChargeKey::new(payment, 1))
}

/// Leaves the shop's tables as a backup from before the orders has them. The ledger is another company's, and stays.
async fn restore_older_backup(shop: &Shop) {
    run(
        shop,
        "UPDATE products p SET stock = stock + i.quantity FROM order_items i WHERE i.product_id = p.id;
         DELETE FROM payment_attempts; DELETE FROM payments; DELETE FROM jobs; DELETE FROM order_items;
         DELETE FROM events; DELETE FROM event_streams; DELETE FROM orders; DELETE FROM idempotency_keys",
    )
    .await;
}

async fn run(shop: &Shop, sql: &'static str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&shop.pool).await.unwrap();
}

/// Asks for an audit, has a worker do it, and gives what it found.
async fn audited(shop: &Shop) -> Vec<(ChargeKey, Kind, Action)> {
    audited_with(shop, simulated(shop)).await.unwrap()
}

async fn audited_with(shop: &Shop, gateway: Arc<dyn PaymentGateway>) -> Result<Vec<(ChargeKey, Kind, Action)>, String> {
    let id = audit::request(&shop.pool, "a test").await.unwrap();
    let done = auditor(shop, gateway).await.round(&CancellationToken::new()).await.unwrap();
    assert_eq!(done, Some(id));
    found(shop, id).await
}

async fn auditor(shop: &Shop, gateway: Arc<dyn PaymentGateway>) -> Auditor {
    Auditor::new(&*worker(shop, gateway).await, &shop.settings.gateway)
}

async fn found(shop: &Shop, id: AuditId) -> Result<Vec<(ChargeKey, Kind, Action)>, String> {
    let (audit, findings) = audit::find(&shop.pool, id).await.unwrap().unwrap();
    assert!(audit.finished_at.is_some());
    let brief = |finding: Finding| (finding.charge_key, finding.kind, finding.action);
    audit.error.map_or_else(|| Ok(findings.into_iter().map(brief).collect()), Err)
}

async fn state(shop: &Shop, key: &ChargeKey) -> String {
    sqlx::query_scalar("SELECT state FROM simulated_gateway.charges WHERE key = $1")
        .bind(key.as_str())
        .fetch_one(&shop.pool)
        .await
        .unwrap()
}

fn numbered(key: &ChargeKey, number: i32) -> ChargeKey {
    ChargeKey::new(key.payment().unwrap(), number)
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn books_that_agree_have_no_findings(pool: PgPool) {
    let (shop, order, key) = paid(pool).await;

    assert_eq!(audited(&shop).await, []);

    assert_eq!((state(&shop, &key).await.as_str(), shop.captures(order).await), ("captured", 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_an_older_backup_has_forgotten_is_given_back_and_reported_once(pool: PgPool) {
    let (shop, _, key) = paid(pool).await;
    restore_older_backup(&shop).await;

    assert_eq!(audited(&shop).await, [(key.clone(), Kind::Forgotten, Action::Refunded)]);
    assert_eq!(state(&shop, &key).await, "refunded");
    shop.assert_sound().await;
    assert_eq!(audited(&shop).await, []);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_charge_whose_payment_is_open_is_left_to_its_job(pool: PgPool) {
    let (shop, order, key) = paid(pool).await;
    // As a backup has it that was made while the charge was in flight.
    run(
        &shop,
        "UPDATE orders SET status = 'PROCESSING'; UPDATE jobs SET state = 'scheduled', run_at = now();
         UPDATE payments SET status = 'PENDING', reference = NULL, open_key = id || ':1'; DELETE FROM payment_attempts",
    )
    .await;

    assert_eq!(audited(&shop).await, []);
    assert_eq!(state(&shop, &key).await, "captured");

    let runner = worker(&shop, simulated(&shop)).await;
    shop.queue.enqueue(&[shop.job_of(order).await]).await.unwrap();
    runner.step().await.unwrap();
    runner.finish().await;
    assert_eq!((shop.status(order).await, shop.captures(order).await), (OrderStatus::Completed, 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_charge_that_an_open_payment_has_left_behind_is_given_back(pool: PgPool) {
    let (shop, _, key) = paid(pool).await;
    run(&shop, "UPDATE payments SET status = 'PENDING', reference = NULL, charge_no = 2").await;

    assert_eq!(audited(&shop).await, [(key, Kind::Forgotten, Action::Refunded)]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_charge_of_a_failed_payment_is_given_back(pool: PgPool) {
    let (shop, _, key) = paid(pool).await;
    run(
        &shop,
        "UPDATE orders SET status = 'FAILED'; UPDATE payments SET status = 'FAILED'; UPDATE products SET stock = 5",
    )
    .await;

    assert_eq!(audited(&shop).await, [(key, Kind::Forgotten, Action::Refunded)]);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn of_two_charges_the_one_that_paid_the_order_is_kept(pool: PgPool) {
    let (shop, order, key) = paid(pool).await;
    run(
        &shop,
        "INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, state)
         SELECT payment || ':2', payment, amount_minor, currency, method, 'captured' FROM simulated_gateway.charges",
    )
    .await;

    assert_eq!(audited(&shop).await, [(numbered(&key, 2), Kind::Double, Action::Refunded)]);

    assert_eq!((state(&shop, &key).await.as_str(), shop.captures(order).await), ("captured", 1));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn nothing_is_given_back_of_an_order_whose_own_charge_the_gateway_does_not_have(pool: PgPool) {
    let (shop, _, key) = paid(pool).await;
    run(&shop, "UPDATE payments SET reference = 'another', charge_no = 2").await;

    let findings = audited(&shop).await;

    let missing = (numbered(&key, 2), Kind::Missing, Action::Reported);
    assert_eq!(findings, [(key.clone(), Kind::Double, Action::Reported), missing]);
    assert_eq!(state(&shop, &key).await, "captured");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_paid_order_without_a_charge_is_reported(pool: PgPool) {
    let (shop, order, key) = paid(pool).await;
    run(&shop, "DELETE FROM simulated_gateway.charges").await;

    assert_eq!(audited(&shop).await, [(key, Kind::Missing, Action::Reported)]);
    assert_eq!(shop.status(order).await, OrderStatus::Completed);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn another_amount_and_a_key_that_no_shop_makes_are_reported_and_kept(pool: PgPool) {
    let (shop, _, key) = paid(pool).await;
    run(
        &shop,
        "UPDATE simulated_gateway.charges SET amount_minor = amount_minor + 1;
         INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, state)
         VALUES ('x:1', 'x', 100, 'USD', 'test', 'captured')",
    )
    .await;
    let foreign = ChargeKey::from("x:1".to_owned());

    let findings = audited(&shop).await;

    assert_eq!(findings.len(), 2);
    assert!(findings.contains(&(key.clone(), Kind::Amount, Action::Reported)));
    assert!(findings.contains(&(foreign.clone(), Kind::Forgotten, Action::Reported)));
    assert_eq!(
        (state(&shop, &key).await, state(&shop, &foreign).await),
        ("captured".to_owned(), "captured".to_owned())
    );
}

/// The simulated gateway with pages of one charge, broken as the test wants it.
struct Small {
    inner: SimulatedGateway,
    /// What a refund answers, whatever it did.
    refund: Option<RefundOutcome>,
    /// A charge that is younger than its pages.
    younger: Option<ChargeKey>,
    /// Whether it answers no question for a page.
    away: bool,
    /// Whether its pages call the charges something else.
    renames: bool,
    /// Where somebody pauses the queue while a page is on its way.
    pauses: Option<PgPool>,
}

#[async_trait]
impl PaymentGateway for Small {
    async fn charge(&self, charge: &Charge) -> ChargeOutcome {
        self.inner.charge(charge).await
    }

    async fn lookup(&self, key: &ChargeKey) -> Lookup {
        self.inner.lookup(key).await
    }

    async fn void(&self, key: &ChargeKey) -> VoidOutcome {
        self.inner.void(key).await
    }

    async fn refund(&self, key: &ChargeKey) -> RefundOutcome {
        let done = self.inner.refund(key).await;
        self.refund.clone().unwrap_or(done)
    }

    async fn captured(&self, after: Option<&ChargeKey>, _: u32) -> Result<Vec<CapturedCharge>, Unreachable> {
        if self.away {
            return Err(Unreachable);
        }
        if let Some(pool) = &self.pauses {
            pause::pause(pool, None).await.unwrap();
        }
        let page = self.inner.captured(after, 10).await?.into_iter();
        let mut page: Vec<_> = page.filter(|charge| Some(&charge.key) != self.younger.as_ref()).take(1).collect();
        if self.renames {
            page.iter_mut().for_each(|charge| charge.reference.insert_str(0, "ch_"));
        }
        Ok(page)
    }
}

fn small(shop: &Shop) -> Small {
    let inner = SimulatedGateway::new(shop.pool.clone(), shop.settings.gateway.clone());
    Small { inner, refund: None, younger: None, away: false, renames: false, pauses: None }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_ledger_of_many_pages_is_compared_to_its_end(pool: PgPool) {
    let (shop, _, _) = paid(pool).await;
    run(
        &shop,
        "INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, state)
         SELECT payment || ':' || n, payment, amount_minor, currency, method, 'captured'
         FROM simulated_gateway.charges, generate_series(2, 4) AS n",
    )
    .await;

    let findings = audited_with(&shop, Arc::new(small(&shop))).await.unwrap();

    assert_eq!(findings.len(), 3);
    assert!(findings.iter().all(|(_, kind, action)| (*kind, *action) == (Kind::Double, Action::Refunded)));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_charge_that_came_after_its_page_was_read_is_not_missing(pool: PgPool) {
    let (shop, _, key) = paid(pool).await;

    assert_eq!(audited_with(&shop, Arc::new(Small { younger: Some(key), ..small(&shop) })).await, Ok(vec![]));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_second_charge_is_given_back_also_when_the_one_that_paid_is_younger_than_the_page(pool: PgPool) {
    let (shop, _, key) = paid(pool).await;
    run(
        &shop,
        "INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, state)
         SELECT payment || ':2', payment, amount_minor, currency, method, 'captured' FROM simulated_gateway.charges",
    )
    .await;
    let double = (numbered(&key, 2), Kind::Double, Action::Refunded);

    let found = audited_with(&shop, Arc::new(Small { younger: Some(key), ..small(&shop) })).await;

    assert_eq!(found, Ok(vec![double]));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refund_whose_answer_got_lost_is_ended_by_the_next_audit(pool: PgPool) {
    let (shop, _, key) = paid(pool).await;
    restore_older_backup(&shop).await;
    let id = audit::request(&shop.pool, "a test").await.unwrap();
    let silent = Arc::new(Small { refund: Some(RefundOutcome::Unknown), ..small(&shop) });

    auditor(&shop, silent).await.round(&CancellationToken::new()).await.unwrap();

    let left = "the gateway has not said what became of 1 refunds; the next audit asks again";
    assert_eq!(found(&shop, id).await, Err(left.to_owned()));
    assert_eq!(audited(&shop).await, []);
    let (_, findings) = audit::find(&shop.pool, id).await.unwrap().unwrap();
    assert_eq!((&findings[0].charge_key, findings[0].action), (&key, Action::Refunded));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_gateway_that_is_away_ends_the_audit_and_finds_nothing(pool: PgPool) {
    let (shop, _, key) = paid(pool).await;
    restore_older_backup(&shop).await;

    let away = audited_with(&shop, Arc::new(Small { away: true, ..small(&shop) })).await;

    assert_eq!(away, Err("the gateway does not answer".to_owned()));
    assert_eq!(state(&shop, &key).await, "captured");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn of_many_workers_one_does_an_audit_and_another_takes_it_over_when_it_dies(pool: PgPool) {
    let (shop, _, _) = paid(pool).await;
    let (first, second) = (worker(&shop, simulated(&shop)).await, worker(&shop, simulated(&shop)).await);
    let lease = shop.settings.worker.lease();
    let id = audit::request(&shop.pool, "a test").await.unwrap();
    assert_eq!(audit::request(&shop.pool, "another test").await.unwrap(), id, "they share the one that waits");

    assert_eq!(audit::take(&shop.pool, first.boot(), lease).await.unwrap(), Some(id));
    assert_eq!(audit::take(&shop.pool, second.boot(), lease).await.unwrap(), None);
    let next = audit::request(&shop.pool, "a third test").await.unwrap();
    assert_ne!(next, id, "one that has begun is too early for who asks now");
    assert_eq!(audit::take(&shop.pool, second.boot(), lease).await.unwrap(), None, "one at a time");

    sqlx::query("DELETE FROM workers WHERE boot_id = $1").bind(first.boot()).execute(&shop.pool).await.unwrap();
    assert_eq!(audit::take(&shop.pool, second.boot(), lease).await.unwrap(), Some(id));
    assert!(!audit::beat(&shop.pool, id, first.boot(), 1).await.unwrap(), "it is the second worker's now");
    audit::finish(&shop.pool, id, second.boot(), None).await.unwrap();
    assert_eq!(audit::take(&shop.pool, second.boot(), lease).await.unwrap(), Some(next));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn audits_come_by_themselves_and_sooner_after_one_that_failed(pool: PgPool) {
    let (shop, _, _) = paid(pool).await;
    let auditor = auditor(&shop, simulated(&shop)).await;
    let stop = CancellationToken::new();

    assert!(auditor.round(&stop).await.unwrap().is_some(), "there has never been one");
    assert_eq!(auditor.round(&stop).await.unwrap(), None);
    run(&shop, "UPDATE gateway_audits SET finished_at = now() - interval '59 minutes'").await;
    assert_eq!(auditor.round(&stop).await.unwrap(), None);
    run(&shop, "UPDATE gateway_audits SET error = 'away'").await;
    assert!(auditor.round(&stop).await.unwrap().is_some());
    run(&shop, "UPDATE gateway_audits SET finished_at = now() - interval '61 minutes'").await;
    assert!(auditor.round(&stop).await.unwrap().is_some());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_worker_that_stops_leaves_its_audit_to_the_next(pool: PgPool) {
    let (shop, _, key) = paid(pool).await;
    restore_older_backup(&shop).await;
    let id = audit::request(&shop.pool, "a test").await.unwrap();
    let (stopping, stop) = (worker(&shop, simulated(&shop)).await, CancellationToken::new());
    stop.cancel();

    assert_eq!(Auditor::new(&stopping, &shop.settings.gateway).round(&stop).await.unwrap(), None);
    assert_eq!(state(&shop, &key).await, "captured");
    shop_common::jobs::workers::leave(&shop.pool, stopping.boot()).await.unwrap();

    assert_eq!(auditor(&shop, simulated(&shop)).await.round(&CancellationToken::new()).await.unwrap(), Some(id));
    assert_eq!(found(&shop, id).await, Ok(vec![(key, Kind::Forgotten, Action::Refunded)]));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_key_that_paid_an_order_is_never_given_back_whatever_the_ledger_calls_it(pool: PgPool) {
    let (shop, _, key) = paid(pool).await;

    let found = audited_with(&shop, Arc::new(Small { renames: true, ..small(&shop) })).await;

    assert_eq!(found, Ok(vec![(key.clone(), Kind::Missing, Action::Reported)]));
    assert_eq!(state(&shop, &key).await, "captured");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn another_spelling_of_a_key_is_reported_and_kept(pool: PgPool) {
    let (shop, _, _) = paid(pool).await;
    run(
        &shop,
        "INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, state)
         SELECT payment || ':+2', payment, amount_minor, currency, method, 'captured' FROM simulated_gateway.charges",
    )
    .await;

    let findings = audited(&shop).await;

    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].1, findings[0].2), (Kind::Forgotten, Action::Reported));
    assert_eq!(state(&shop, &findings[0].0).await, "captured");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn too_many_refunds_are_only_reported_also_by_the_next_audit(pool: PgPool) {
    let (mut shop, _, _) = paid(pool).await;
    run(
        &shop,
        "INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, state)
         SELECT payment || ':' || n, payment, amount_minor, currency, method, 'captured'
         FROM simulated_gateway.charges, generate_series(2, 4) AS n",
    )
    .await;
    shop.settings.gateway.audit_refunds_at_most = 1;
    for _ in 0..2 {
        let error = audited_with(&shop, simulated(&shop)).await.unwrap_err();
        assert!(error.starts_with("2 charges are only reported") && error.contains("audit_refunds_at_most"), "{error}");
    }

    shop.settings.gateway.audit_refunds_at_most = 3;
    assert_eq!(audited(&shop).await.len(), 2);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn nothing_is_given_back_while_the_queue_is_paused(pool: PgPool) {
    let (shop, _, key) = paid(pool).await;
    restore_older_backup(&shop).await;

    let paused = audited_with(&shop, Arc::new(Small { pauses: Some(shop.pool.clone()), ..small(&shop) })).await;

    assert!(paused.unwrap_err().starts_with("the queue was paused"));
    let id = audit::request(&shop.pool, "a test").await.unwrap();
    let (auditor, stop) = (auditor(&shop, simulated(&shop)).await, CancellationToken::new());
    assert_eq!(auditor.round(&stop).await.unwrap(), None);
    assert_eq!(state(&shop, &key).await, "captured");
    pause::resume(&shop.pool).await.unwrap();
    assert_eq!(auditor.round(&stop).await.unwrap(), Some(id));
    assert_eq!(state(&shop, &key).await, "refunded");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_paid_order_whose_charge_was_given_back_is_reported_and_keeps_its_second_charge(pool: PgPool) {
    let (shop, _, key) = paid(pool).await;
    run(
        &shop,
        "INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, state)
         SELECT payment || ':2', payment, amount_minor, currency, method, 'captured' FROM simulated_gateway.charges;
         UPDATE simulated_gateway.charges SET state = 'refunded' WHERE key LIKE '%:1'",
    )
    .await;

    let findings = audited(&shop).await;

    let second = numbered(&key, 2);
    let missing = (key, Kind::Missing, Action::Reported);
    assert_eq!(findings, [missing, (second.clone(), Kind::Double, Action::Reported)]);
    assert_eq!(state(&shop, &second).await, "captured");
}
