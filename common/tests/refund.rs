//! Refunds, on a real database: asked for by admins, claimed and settled, and what operators do about them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use futures::future::join_all;
use shop_common::db::{Ending, Locks, MIGRATOR};
use shop_common::id::{BootId, JobId, OrderId, ProductId, UserId};
use shop_common::jobs::act::{self, ActError, Selection, Verb};
use shop_common::jobs::dead::count_needing_operator;
use shop_common::jobs::filter::JobFilter;
use shop_common::jobs::queue::Lease;
use shop_common::jobs::retry::Backoff;
use shop_common::jobs::{Task, Token};
use shop_common::orders::cancel::{CancelError, cancel};
use shop_common::orders::claim::{self, Claim};
use shop_common::orders::queries;
use shop_common::orders::refund::settle::{Outcome, Settlement};
use shop_common::orders::refund::{self, NewRefund, Refund, RefundError, RefundStatus, Requested};
use shop_common::orders::settle::{self, Settled};
use shop_common::orders::status::OrderStatus;
use shop_common::payments::next::Policy;
use shop_common::repair::{self, Deed};
use shop_common::verify::{self, Ledger};
use shop_testkit::Shop;
use shop_testkit::proxy::{Commit, Proxy};
use sqlx::{AssertSqlSafe, PgPool};

const LEASE: Duration = Duration::from_secs(15);
const BACKOFF: Backoff = Backoff { base: Duration::ZERO, cap: Duration::ZERO };
const POLICY: Policy = Policy { backoff: BACKOFF, max_attempts: 5 };

/// A worker claims an order's newest job, if it may.
async fn claimed(shop: &Shop, order: OrderId) -> Option<Claim> {
    let boot = BootId::new();
    let lease = Lease { job: shop.job_of(order).await, token: Token::new(boot, 1) };
    claim::claim(&shop.pool, &shop.announcer, &[lease], boot, LEASE).await.unwrap().pop()
}

/// The gateway charges the claim, and the shop hears of it.
async fn paid(shop: &Shop, claim: &Claim) -> Settled {
    sqlx::query(
        "INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, state)
         VALUES ($1, $2, $3, 'USD', 'test', 'captured')",
    )
    .bind(claim.key.as_str())
    .bind(claim.payment.to_string())
    .bind(claim.amount)
    .execute(&shop.pool)
    .await
    .unwrap();
    let outcome = shop_common::payments::Outcome::Approved { reference: "ch_1".to_owned() };
    let settlement = settle::Settlement { lease: claim.lease.clone(), key: claim.key.clone(), outcome, jitter: 0.5 };
    settle::settle(&shop.pool, &shop.announcer, POLICY, Locks::Usual, &[settlement]).await.unwrap()[0]
}

/// A completed order of two of a product.
async fn completed(shop: &Shop, customer: UserId, product: ProductId) -> OrderId {
    let order = shop.order(customer, &[(product, 2)], "test").await;
    let claim = claimed(shop, order).await.unwrap();
    assert_eq!(paid(shop, &claim).await, Settled::Ended(OrderStatus::Completed));
    order
}

/// A shop with a completed order of two of five mugs.
async fn one_completed(pool: PgPool) -> (Shop, UserId, ProductId, OrderId) {
    let shop = Shop::new(pool);
    let (customer, mug) = (shop.customer().await, shop.product("2.50", 5).await);
    let order = completed(&shop, customer, mug).await;
    (shop, customer, mug, order)
}

fn wanted(order: OrderId, restock: bool) -> NewRefund {
    let reason = Some("broken on arrival".parse().unwrap());
    NewRefund { order, restock, reason, requested_by: None, request_id: Some("r-1".to_owned()), trace: None }
}

async fn requested(shop: &Shop, order: OrderId, restock: bool) -> Result<Requested, RefundError> {
    refund::request(&shop.pool, wanted(order, restock)).await
}

/// The gateway has given the money of that key back; nobody has heard of it yet.
async fn given_back(shop: &Shop, claim: &Claim) {
    let sql = "UPDATE simulated_gateway.charges SET state = 'refunded' WHERE key = $1";
    let done = sqlx::query(sql).bind(claim.key.as_str()).execute(&shop.pool).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "the key is the one of the captured charge");
}

async fn settled(shop: &Shop, claim: &Claim, outcome: Outcome) -> Settled {
    let settlement = Settlement { lease: claim.lease.clone(), outcome, jitter: 0.5 };
    refund::settle::settle(&shop.pool, &shop.announcer, BACKOFF, &settlement).await.unwrap()
}

fn unknown() -> Outcome {
    Outcome::Unknown { code: "gateway_timeout".to_owned() }
}

fn impossible() -> Outcome {
    Outcome::Impossible { reason: "nothing_captured".to_owned() }
}

async fn refund_of(shop: &Shop, order: OrderId) -> Option<Refund> {
    queries::find_of_anybody(&shop.pool, order).await.unwrap().unwrap().refund
}

async fn events(shop: &Shop, customer: UserId) -> Vec<String> {
    sqlx::query_scalar("SELECT kind || ' ' || (data->>'status') FROM events WHERE user_id = $1 ORDER BY seq")
        .bind(customer)
        .fetch_all(&shop.pool)
        .await
        .unwrap()
}

async fn jobs(shop: &Shop, order: OrderId) -> Vec<(String, String)> {
    sqlx::query_as("SELECT kind, state FROM jobs WHERE order_id = $1 ORDER BY id")
        .bind(order)
        .fetch_all(&shop.pool)
        .await
        .unwrap()
}

async fn broken(shop: &Shop) -> Vec<&'static str> {
    let findings = verify::verify(&shop.pool, Ledger::Here).await.unwrap();
    findings.iter().filter(|finding| !finding.violations.is_empty()).map(|finding| finding.invariant).collect()
}

async fn run(shop: &Shop, sql: &'static str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&shop.pool).await.unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_completed_order_is_refunded_and_restocked_and_the_books_agree_at_every_step(pool: PgPool) {
    let (shop, customer, mug, order) = one_completed(pool).await;
    let before = events(&shop, customer).await;

    let Requested { order: asked, job } = requested(&shop, order, true).await.unwrap();

    let pending = asked.refund.unwrap();
    assert_eq!((asked.status, pending.status, pending.restock), (OrderStatus::Completed, RefundStatus::Pending, true));
    assert_eq!(pending.reason.unwrap().as_str(), "broken on arrival");
    assert_eq!((job, shop.stock(mug).await), (Some(shop.job_of(order).await), 3));
    shop.assert_sound().await;

    let claim = claimed(&shop, order).await.unwrap();
    assert_eq!(claim.job.task(), Some(Task::Refund));
    let open: (String, Option<String>) =
        sqlx::query_as("SELECT status, open_key FROM payments").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(open, ("COMPLETED".to_owned(), None), "a claim of a refund opens no key");
    shop.assert_sound().await;
    given_back(&shop, &claim).await;
    shop.assert_sound().await;
    assert_eq!(events(&shop, customer).await, before, "nothing is told before the end");

    assert_eq!(settled(&shop, &claim, Outcome::Refunded).await, Settled::Ended(OrderStatus::Refunded));

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Refunded, 5));
    let done = refund_of(&shop, order).await.unwrap();
    assert!(done.status == RefundStatus::Refunded && done.refunded_at.is_some());
    let told = events(&shop, customer).await;
    assert_eq!(told[before.len()..], ["payment.status REFUNDED", "order.status REFUNDED"]);
    let states = [("charge_payment", "completed"), ("refund_payment", "completed")];
    assert_eq!(jobs(&shop, order).await, states.map(|(kind, state)| (kind.to_owned(), state.to_owned())));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn without_restocking_the_stock_stays_as_it_is(pool: PgPool) {
    let (shop, _, mug, order) = one_completed(pool).await;
    requested(&shop, order, false).await.unwrap();
    let claim = claimed(&shop, order).await.unwrap();
    given_back(&shop, &claim).await;

    settled(&shop, &claim, Outcome::Refunded).await;

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Refunded, 3));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn only_a_completed_order_can_be_refunded(pool: PgPool) {
    let shop = Shop::new(pool);
    let (customer, mug) = (shop.customer().await, shop.product("1", 9).await);
    let pending = shop.order(customer, &[(mug, 1)], "test").await;
    let processing = shop.order(customer, &[(mug, 1)], "test").await;
    claimed(&shop, processing).await.unwrap();
    let cancelled = shop.order(customer, &[(mug, 1)], "test").await;
    cancel(&shop.pool, &shop.announcer, customer, cancelled).await.unwrap();
    let failed = shop.order(customer, &[(mug, 1)], "test").await;
    let claim = claimed(&shop, failed).await.unwrap();
    let outcome = shop_common::payments::Outcome::Voided { code: "x".to_owned() };
    let settlement = settle::Settlement { lease: claim.lease.clone(), key: claim.key, outcome, jitter: 0.5 };
    settle::settle(&shop.pool, &shop.announcer, POLICY, Locks::Usual, &[settlement]).await.unwrap();

    for (order, status) in [
        (pending, OrderStatus::Pending),
        (processing, OrderStatus::Processing),
        (cancelled, OrderStatus::Cancelled),
        (failed, OrderStatus::Failed),
    ] {
        let refused = requested(&shop, order, true).await;
        assert!(matches!(refused, Err(RefundError::NotRefundable(is)) if is == status), "{refused:?}");
    }
    assert!(matches!(requested(&shop, OrderId::new(), true).await, Err(RefundError::NotFound)));
    let refunds: i64 = sqlx::query_scalar("SELECT count(*) FROM refunds").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(refunds, 0);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refund_that_is_asked_for_again_is_given_as_it_is_and_another_choice_is_refused(pool: PgPool) {
    let (shop, _, mug, order) = one_completed(pool).await;
    let first = requested(&shop, order, true).await.unwrap().order.refund;

    let again = NewRefund { reason: None, ..wanted(order, true) };
    let again = refund::request(&shop.pool, again).await.unwrap();
    assert_eq!((again.order.refund, again.job), (first, None));
    let other = requested(&shop, order, false).await;
    assert!(matches!(other, Err(RefundError::AlreadyRequested { restock: true })), "{other:?}");

    let claim = claimed(&shop, order).await.unwrap();
    given_back(&shop, &claim).await;
    settled(&shop, &claim, Outcome::Refunded).await;
    let done = requested(&shop, order, true).await.unwrap();
    assert_eq!((done.order.status, done.job), (OrderStatus::Refunded, None));
    let other = requested(&shop, order, false).await;
    assert!(matches!(other, Err(RefundError::AlreadyRequested { restock: true })), "{other:?}");
    assert_eq!((shop.stock(mug).await, jobs(&shop, order).await.len()), (5, 2));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn twenty_admins_at_once_ask_for_one_refund(pool: PgPool) {
    let (shop, customer, mug, _) = one_completed(pool).await;
    run(
        &shop,
        "UPDATE products SET stock = stock + 20; INSERT INTO stock_movements (id, product_id, delta, reason)
                SELECT gen_random_uuid(), id, 20, 'a delivery' FROM products",
    )
    .await;
    for _ in 0..5 {
        let order = completed(&shop, customer, mug).await;
        let shop = &shop;
        let ask = |n: i32| async move { (n % 2 == 0, requested(shop, order, n % 2 == 0).await) };

        let answers = join_all((0..20).map(ask)).await;

        let chosen = refund_of(shop, order).await.unwrap().restock;
        for (restock, answer) in &answers {
            match answer {
                Ok(_) => assert_eq!(*restock, chosen),
                Err(RefundError::AlreadyRequested { restock: theirs }) => {
                    assert_eq!((*theirs, *restock), (chosen, !chosen));
                }
                Err(error) => panic!("{error}"),
            }
        }
        let made = answers.iter().filter(|(_, answer)| answer.as_ref().is_ok_and(|asked| asked.job.is_some()));
        assert_eq!((made.count(), jobs(shop, order).await.len()), (1, 2));
        shop.assert_sound().await;
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_charge_a_cancellation_and_a_refund_at_the_same_time_come_to_one_end(pool: PgPool) {
    let shop = Shop::new(pool);
    let (customer, mug) = (shop.customer().await, shop.product("1", 100).await);
    for _ in 0..15 {
        let order = shop.order(customer, &[(mug, 1)], "test").await;
        let charge = async {
            if let Some(claim) = claimed(&shop, order).await {
                assert_eq!(paid(&shop, &claim).await, Settled::Ended(OrderStatus::Completed));
            }
        };
        let cancels = join_all((0..5).map(|_| cancel(&shop.pool, &shop.announcer, customer, order)));
        let refunds = join_all((0..10).map(|_| requested(&shop, order, true)));

        let (cancels, (), refunds) = tokio::join!(cancels, charge, refunds);

        let (status, refund) = (shop.status(order).await, refund_of(&shop, order).await);
        for answer in cancels {
            match answer {
                Ok(cancelled) => assert_eq!((cancelled.status, status), (OrderStatus::Cancelled, status)),
                Err(CancelError::ChargeInFlight) => {}
                Err(CancelError::AlreadyEnded(ended)) => assert_eq!((ended, status), (OrderStatus::Completed, status)),
                Err(error) => panic!("{error}"),
            }
        }
        for answer in refunds {
            match answer {
                Ok(_) => assert!(status == OrderStatus::Completed && refund.is_some()),
                Err(RefundError::NotRefundable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(refund.is_none() || status == OrderStatus::Completed);
        shop.assert_sound().await;
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_request_whose_commit_lost_its_answer_has_happened_and_one_that_never_arrived_has_not(pool: PgPool) {
    let proxy = Proxy::before(&pool).await;
    let (shop, _, _, order) = one_completed(proxy.pool.clone()).await;

    proxy.next_commit(Commit::IsLost);
    let refused = requested(&shop, order, true).await;
    assert!(matches!(refused, Err(RefundError::Database(_))), "{refused:?}");
    assert_eq!((refund_of(&shop, order).await, jobs(&shop, order).await.len()), (None, 1));

    proxy.next_commit(Commit::LosesItsAnswer);
    let asked = requested(&shop, order, true).await.unwrap();
    assert_eq!(asked.job, Some(shop.job_of(order).await));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_settlement_whose_commit_lost_its_answer_has_happened_once(pool: PgPool) {
    let proxy = Proxy::before(&pool).await;
    let (shop, customer, mug, order) = one_completed(proxy.pool.clone()).await;
    requested(&shop, order, true).await.unwrap();
    let claim = claimed(&shop, order).await.unwrap();
    given_back(&shop, &claim).await;

    proxy.next_commit(Commit::IsLost);
    let settlement = Settlement { lease: claim.lease.clone(), outcome: Outcome::Refunded, jitter: 0.5 };
    refund::settle::settle(&shop.pool, &shop.announcer, BACKOFF, &settlement).await.unwrap_err();
    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Completed, 3));

    proxy.next_commit(Commit::LosesItsAnswer);
    for _ in 0..2 {
        // The second time, nothing is left to be done.
        assert_eq!(settled(&shop, &claim, Outcome::Refunded).await, Settled::Ended(OrderStatus::Refunded));
    }
    assert_eq!((shop.stock(mug).await, events(&shop, customer).await.len()), (5, 6));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_worker_that_lost_its_claim_settles_no_refund(pool: PgPool) {
    let (shop, _, mug, order) = one_completed(pool).await;
    requested(&shop, order, true).await.unwrap();
    // Neither of the two has a heartbeat, so the second takes over.
    let zombie = claimed(&shop, order).await.unwrap();
    let heir = claimed(&shop, order).await.unwrap();
    assert_eq!(zombie.key, heir.key);

    for outcome in [Outcome::Refunded, unknown(), impossible()] {
        assert_eq!(settled(&shop, &zombie, outcome).await, Settled::Fenced);
    }
    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Completed, 3));
    given_back(&shop, &heir).await;
    assert_eq!(settled(&shop, &heir, Outcome::Refunded).await, Settled::Ended(OrderStatus::Refunded));
    assert_eq!(settled(&shop, &zombie, Outcome::Refunded).await, Settled::Fenced);
    assert_eq!(shop.stock(mug).await, 5);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refund_without_an_answer_is_tried_again_with_the_same_key(pool: PgPool) {
    let (shop, _, _, order) = one_completed(pool).await;
    requested(&shop, order, true).await.unwrap();
    let first = claimed(&shop, order).await.unwrap();

    assert_eq!(settled(&shop, &first, unknown()).await, Settled::Again(Duration::ZERO));
    assert_eq!(settled(&shop, &first, unknown()).await, Settled::Again(Duration::ZERO), "handed in again");

    let errors: (String, String, i32) = sqlx::query_as(
        "SELECT r.last_error, j.last_error, j.retries FROM refunds r JOIN jobs j USING (order_id) WHERE j.state = 'scheduled'",
    )
    .fetch_one(&shop.pool)
    .await
    .unwrap();
    assert_eq!(errors, ("gateway_timeout".to_owned(), "gateway_timeout".to_owned(), 1));
    shop.assert_sound().await;
    assert_eq!(claimed(&shop, order).await.unwrap().key, first.key);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refund_that_contradicts_the_books_is_buried_reported_and_retried_by_an_operator(pool: PgPool) {
    let (shop, customer, mug, order) = one_completed(pool).await;
    requested(&shop, order, true).await.unwrap();
    let told = events(&shop, customer).await;
    let claim = claimed(&shop, order).await.unwrap();

    assert_eq!(settled(&shop, &claim, impossible()).await, Settled::Buried);

    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Completed, 3));
    assert_eq!(events(&shop, customer).await, told, "nothing has changed");
    assert_eq!(broken(&shop).await, ["I4"]);
    assert_eq!(count_needing_operator(&shop.pool).await.unwrap(), [("refund_payment".to_owned(), 1)]);

    let these = [claim.job.id];
    let reason = "no".parse().unwrap();
    let give_up = Verb::Cancel(&reason);
    let given_up = act::act_on_all_of(&shop.pool, give_up, &these, Ending::Commit).await.unwrap_err();
    assert!(matches!(given_up, ActError::Refund(job) if job == claim.job.id), "{given_up}");
    assert_eq!(act::select(&shop.pool, give_up, &JobFilter::default()).await.unwrap(), Selection::default());
    assert_eq!(act::act(&shop.pool, give_up, &JobFilter::default(), &these).await.unwrap(), []);
    run(&shop, "UPDATE jobs SET claims = 30 WHERE kind = 'refund_payment'").await;
    assert_eq!(act::act_on_all_of(&shop.pool, Verb::Retry, &these, Ending::Commit).await.unwrap(), these);
    // Scheduled again, it is owed as before.
    assert_eq!(act::select(&shop.pool, give_up, &JobFilter::default()).await.unwrap(), Selection::default());
    assert_eq!(act::act(&shop.pool, give_up, &JobFilter::default(), &these).await.unwrap(), []);
    shop.assert_sound().await;

    let again = claimed(&shop, order).await.unwrap();
    assert_eq!((again.job.crashes(), &again.key), (0, &claim.key));
    given_back(&shop, &again).await;
    assert_eq!(settled(&shop, &again, Outcome::Refunded).await, Settled::Ended(OrderStatus::Refunded));
    assert!(count_needing_operator(&shop.pool).await.unwrap().is_empty());
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn all_dead_jobs_that_need_an_operator_are_retried_those_of_refunds_too(pool: PgPool) {
    let (shop, customer, mug, order) = one_completed(pool).await;
    requested(&shop, order, true).await.unwrap();
    let refund = shop.job_of(order).await;
    let open = shop.order(customer, &[(mug, 1)], "test").await;
    let charge = shop.job_of(open).await;
    run(&shop, "UPDATE jobs SET state = 'dead' WHERE state = 'scheduled'").await;

    let dead = act::select(&shop.pool, Verb::Retry, &JobFilter::default()).await.unwrap();
    assert_eq!(dead.jobs, [refund, charge]);
    assert_eq!(act::act(&shop.pool, Verb::Retry, &JobFilter::default(), &dead.jobs).await.unwrap().len(), 2);
    shop.assert_sound().await;
    // The job of a refund that is done has nothing left to do.
    let claim = claimed(&shop, order).await.unwrap();
    given_back(&shop, &claim).await;
    settled(&shop, &claim, Outcome::Refunded).await;
    run(&shop, "UPDATE jobs SET state = 'dead' WHERE kind = 'refund_payment'").await;
    let ended = act::act_on_all_of(&shop.pool, Verb::Retry, &[refund], Ending::Commit).await;
    assert!(matches!(ended, Err(ActError::OrderEnded { order: OrderStatus::Refunded, .. })), "{ended:?}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refund_that_lost_its_job_gets_a_new_one_from_a_repair_and_a_sound_one_is_left_alone(pool: PgPool) {
    let (shop, _, _, order) = one_completed(pool).await;
    requested(&shop, order, true).await.unwrap();
    let repaired = async |ending| {
        let mut repairs = Vec::new();
        repair::repair(&shop.pool, ending, &mut repairs).await.unwrap();
        repairs.into_iter().map(|repair| (repair.deed, repair.order, repair.job)).collect::<Vec<_>>()
    };
    assert_eq!(repaired(Ending::Commit).await, []);

    for lose in [
        "UPDATE jobs SET state = 'dead' WHERE kind = 'refund_payment'",
        "UPDATE jobs SET state = 'cancelled' WHERE kind = 'refund_payment'",
        "DELETE FROM jobs WHERE kind = 'refund_payment'",
    ] {
        run(&shop, lose).await;
        assert_eq!(broken(&shop).await, ["I4"], "{lose}");
        assert_eq!(repaired(Ending::DryRun).await.len(), 1);
        assert_eq!(repaired(Ending::Commit).await, [(Deed::JobMade, order, shop.job_of(order).await)]);
        shop.assert_sound().await;
        assert_eq!(repaired(Ending::Commit).await, []);
    }
    assert_eq!(claimed(&shop, order).await.unwrap().job.task(), Some(Task::Refund));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refunds_job_whose_payment_is_not_there_to_go_back_is_buried_before_the_gateway_is_asked(pool: PgPool) {
    let (shop, customer, mug, order) = one_completed(pool).await;
    requested(&shop, order, true).await.unwrap();
    run(&shop, "UPDATE refunds SET refunded_at = now()").await;
    assert!(claimed(&shop, order).await.is_none(), "it is done already");
    let open = shop.order(customer, &[(mug, 1)], "test").await;
    run(&shop, "UPDATE jobs SET kind = 'refund_payment' WHERE state = 'scheduled'").await;
    assert!(claimed(&shop, open).await.is_none(), "nobody has paid");
    let ended = completed(&shop, customer, mug).await;
    requested(&shop, ended, true).await.unwrap();
    let failed = "UPDATE payments SET status = 'FAILED' WHERE order_id = $1";
    sqlx::query(failed).bind(ended).execute(&shop.pool).await.unwrap();
    assert!(claimed(&shop, ended).await.is_none(), "its payment says that nothing was paid");

    let dead: Vec<(String, String)> =
        sqlx::query_as("SELECT state, last_error FROM jobs WHERE kind = 'refund_payment' ORDER BY id")
            .fetch_all(&shop.pool)
            .await
            .unwrap();
    let why = "the order or its payment is not completed, or nobody has asked for a refund";
    assert_eq!(dead, vec![("dead".to_owned(), why.to_owned()); 3]);
    assert_eq!(shop.status(open).await, OrderStatus::Pending);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_job_of_an_unknown_kind_is_claimed_as_it_is_and_nothing_is_moved_for_it(pool: PgPool) {
    let (shop, _, _, order) = one_completed(pool).await;
    let job = JobId::new();
    sqlx::query("INSERT INTO jobs (id, kind, version, payload, order_id) VALUES ($1, 'of_tomorrow', 1, '{}', $2)")
        .bind(job)
        .bind(order)
        .execute(&shop.pool)
        .await
        .unwrap();

    let claim = claimed(&shop, order).await.unwrap();

    assert_eq!((claim.job.id, claim.job.task()), (job, None));
    let states: (String, String) =
        sqlx::query_as("SELECT j.state, p.status FROM jobs j JOIN payments p USING (order_id) WHERE j.id = $1")
            .bind(job)
            .fetch_one(&shop.pool)
            .await
            .unwrap();
    assert_eq!(states, ("running".to_owned(), "COMPLETED".to_owned()));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_a_refund_stands_on_is_verified(pool: PgPool) {
    let (shop, _, _, order) = one_completed(pool).await;
    requested(&shop, order, false).await.unwrap();
    let claim = claimed(&shop, order).await.unwrap();
    given_back(&shop, &claim).await;
    settled(&shop, &claim, Outcome::Refunded).await;
    shop.assert_sound().await;
    for (wrong, right, invariants) in [
        // Stock that went back although it was not to, or the other way round.
        ("UPDATE refunds SET restock = true", "UPDATE refunds SET restock = false", vec!["I1"]),
        // A refund that the gateway did not do.
        (
            "UPDATE simulated_gateway.charges SET state = 'captured'",
            "UPDATE simulated_gateway.charges SET state = 'refunded'",
            vec!["I2"],
        ),
        // One that is done, and the order does not know. The money is then gone for a completed order, too.
        (
            "UPDATE orders SET status = 'COMPLETED'; UPDATE payments SET status = 'COMPLETED'",
            "UPDATE orders SET status = 'REFUNDED'; UPDATE payments SET status = 'REFUNDED'",
            vec!["I2"],
        ),
        // One that is to be done, of an order that is refunded; and nobody does it.
        ("UPDATE refunds SET refunded_at = NULL", "UPDATE refunds SET refunded_at = now()", vec!["I2", "I4"]),
        // A job that would charge in the place of the one that refunds.
        (
            "UPDATE refunds SET refunded_at = NULL; UPDATE jobs SET state = 'scheduled' WHERE kind = 'charge_payment'",
            "UPDATE refunds SET refunded_at = now(); UPDATE jobs SET state = 'completed'",
            vec!["I2", "I4"],
        ),
    ] {
        run(&shop, wrong).await;
        assert_eq!(broken(&shop).await, invariants, "{wrong}");
        run(&shop, right).await;
        shop.assert_sound().await;
    }
    // A refund that nobody has asked for.
    run(&shop, "DELETE FROM refunds; UPDATE products SET stock = stock + 2").await;
    assert_eq!(broken(&shop).await, ["I2"]);
}
