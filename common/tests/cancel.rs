//! Cancelling orders, on a real database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use shop_common::db::{Ending, Locks, MIGRATOR};
use shop_common::id::{BootId, OrderId, ProductId, UserId};
use shop_common::jobs::queue::Lease;
use shop_common::jobs::retry::Backoff;
use shop_common::jobs::{Token, ledger};
use shop_common::orders::cancel::{CancelError, cancel, cancel_of_anybody};
use shop_common::orders::claim::{self, Claim};
use shop_common::orders::settle::{self, Settled, Settlement};
use shop_common::orders::status::OrderStatus;
use shop_common::payments::Outcome;
use shop_common::payments::next::Policy;
use shop_testkit::Shop;
use shop_testkit::proxy::{Commit, Proxy};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::task::JoinHandle;

const LEASE: Duration = Duration::from_secs(15);
const POLICY: Policy = Policy { backoff: Backoff { base: Duration::ZERO, cap: Duration::ZERO }, max_attempts: 5 };

/// A worker claims an order's job, if it may.
async fn claimed(shop: &Shop, order: OrderId) -> Option<Claim> {
    let boot = BootId::new();
    let lease = Lease { job: shop.job_of(order).await, token: Token::new(boot, 1) };
    claim::claim(&shop.pool, &shop.announcer, &[lease], boot, LEASE).await.unwrap().pop()
}

async fn settled(shop: &Shop, claim: &Claim, outcome: Outcome) -> Settled {
    let settlement = Settlement { lease: claim.lease.clone(), key: claim.key.clone(), outcome, jitter: 0.5 };
    settle::settle(&shop.pool, &shop.announcer, POLICY, Locks::Usual, &[settlement]).await.unwrap()[0]
}

/// The gateway charges, and the shop hears of it.
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
    settled(shop, claim, Outcome::Approved { reference: "ch_1".to_owned() }).await
}

fn try_again_later() -> Outcome {
    Outcome::Declined { code: "try_again_later".to_owned(), retryable: true }
}

async fn events(shop: &Shop, customer: UserId) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT kind || ' ' || (data->>'status') || coalesce(' ' || (data->>'error'), '')
         FROM events WHERE user_id = $1 ORDER BY seq",
    )
    .bind(customer)
    .fetch_all(&shop.pool)
    .await
    .unwrap()
}

async fn job(shop: &Shop, order: OrderId) -> (String, Option<String>) {
    sqlx::query_as("SELECT state, last_error FROM jobs WHERE order_id = $1")
        .bind(order)
        .fetch_one(&shop.pool)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_that_nobody_has_claimed_is_cancelled_and_its_stock_is_back(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let (mug, tea) = (shop.product("2.50", 5).await, shop.product("1", 1).await);
    let id = shop.order(customer, &[(mug, 2), (tea, 1)], "test").await;

    let order = cancel(&shop.pool, &shop.announcer, customer, id).await.unwrap();

    assert_eq!((order.id, order.status, order.order_items.len()), (id, OrderStatus::Cancelled, 2));
    assert_eq!((shop.stock(mug).await, shop.stock(tea).await), (5, 1));
    assert_eq!(job(&shop, id).await, ("cancelled".to_owned(), Some("cancelled".to_owned())));
    assert_eq!(
        events(&shop, customer).await,
        ["order.status PENDING", "payment.status FAILED cancelled", "order.status CANCELLED"]
    );
    shop.assert_sound().await;

    // What Redis still has of it is a ghost.
    assert!(claimed(&shop, id).await.is_none());
    let lease = Lease { job: shop.job_of(id).await, token: Token::new(BootId::new(), 1) };
    assert_eq!(ledger::not_taken(&shop.pool, vec![lease.clone()]).await.unwrap().ghosts, [lease]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_operator_cancels_whosever_order_and_a_rehearsal_changes_nothing(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("2.50", 5).await;
    let (id, taken) =
        (shop.order(customer, &[(mug, 2)], "test").await, shop.order(customer, &[(mug, 1)], "test").await);
    let cancelled = async |order, ending| cancel_of_anybody(&shop.pool, &shop.announcer, order, ending).await;
    let _claim = claimed(&shop, taken).await.unwrap();
    for ending in [Ending::DryRun, Ending::Commit] {
        let refused = cancelled(taken, ending).await;
        assert!(matches!(refused, Err(CancelError::ChargeInFlight)), "{refused:?}");
        assert!(matches!(cancelled(OrderId::new(), ending).await, Err(CancelError::NotFound)));
    }

    assert_eq!(cancelled(id, Ending::DryRun).await.unwrap().status, OrderStatus::Pending);
    assert_eq!((shop.stock(mug).await, job(&shop, id).await.0), (2, "scheduled".to_owned()));
    assert_eq!(cancelled(id, Ending::Commit).await.unwrap().status, OrderStatus::Cancelled);
    assert_eq!((shop.stock(mug).await, job(&shop, id).await.0), (4, "cancelled".to_owned()));
    let told = events(&shop, customer).await;
    assert_eq!(told[told.len() - 2..], ["payment.status FAILED cancelled", "order.status CANCELLED"]);
    assert_eq!(cancelled(id, Ending::DryRun).await.unwrap().status, OrderStatus::Cancelled);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_that_may_be_charged_is_not_cancelled_and_completes(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 5).await;
    let id = shop.order(customer, &[(mug, 1)], "test").await;
    let claim = claimed(&shop, id).await.unwrap();

    let refused = cancel(&shop.pool, &shop.announcer, customer, id).await;

    assert!(matches!(refused, Err(CancelError::ChargeInFlight)), "{refused:?}");
    assert_eq!(paid(&shop, &claim).await, Settled::Ended(OrderStatus::Completed));
    assert_eq!((shop.status(id).await, shop.stock(mug).await), (OrderStatus::Completed, 4));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_whose_charge_has_no_known_end_is_not_cancelled_between_two_tries(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 5).await;
    let id = shop.order(customer, &[(mug, 1)], "test").await;
    let claim = claimed(&shop, id).await.unwrap();
    let unknown = Outcome::Unknown { code: "gateway_timeout".to_owned() };
    assert_eq!(settled(&shop, &claim, unknown).await, Settled::Again(Duration::ZERO));

    let refused = cancel(&shop.pool, &shop.announcer, customer, id).await;

    assert!(matches!(refused, Err(CancelError::ChargeInFlight)), "{refused:?}");
    assert_eq!((shop.status(id).await, shop.stock(mug).await), (OrderStatus::Processing, 4));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_is_cancelled_after_a_decline_that_may_be_retried_and_never_charged_again(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 5).await;
    let id = shop.order(customer, &[(mug, 1)], "test").await;
    let claim = claimed(&shop, id).await.unwrap();
    assert_eq!(settled(&shop, &claim, try_again_later()).await, Settled::Again(Duration::ZERO));

    let order = cancel(&shop.pool, &shop.announcer, customer, id).await.unwrap();

    assert_eq!((order.status, shop.stock(mug).await), (OrderStatus::Cancelled, 5));
    assert!(claimed(&shop, id).await.is_none());
    // Its worker did not hear that the decline was recorded, and hands it in again.
    assert_eq!(settled(&shop, &claim, try_again_later()).await, Settled::Fenced);
    let payment: (String, Option<String>) =
        sqlx::query_as("SELECT status, last_error FROM payments").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(payment, ("FAILED".to_owned(), Some("cancelled".to_owned())));
    assert_eq!((shop.status(id).await, shop.stock(mug).await), (OrderStatus::Cancelled, 5));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn twenty_cancellations_and_a_worker_come_to_one_end(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 100).await;
    for round in 0..=20 {
        let id = shop.order(customer, &[(mug, 1)], "test").await;
        // In one half of the rounds they race for the claim, in the other with the settlement.
        let early = if round % 2 == 0 { claimed(&shop, id).await } else { None };
        let cancels = |n| join_all((0..n).map(|_| cancel(&shop.pool, &shop.announcer, customer, id)));
        let working = async {
            let Some(claim) = (if early.is_some() { early } else { claimed(&shop, id).await }) else { return };
            if round % 4 < 2 {
                assert_eq!(paid(&shop, &claim).await, Settled::Ended(OrderStatus::Completed));
            } else {
                assert_eq!(settled(&shop, &claim, try_again_later()).await, Settled::Again(Duration::ZERO));
            }
        };
        let (before, (), after) = tokio::join!(cancels(round), working, cancels(20 - round));

        let status = shop.status(id).await;
        for answer in before.into_iter().chain(after) {
            match answer {
                Ok(order) => assert_eq!((order.status, status), (OrderStatus::Cancelled, OrderStatus::Cancelled)),
                Err(CancelError::ChargeInFlight) => {}
                Err(CancelError::AlreadyEnded(OrderStatus::Completed)) => assert_eq!(status, OrderStatus::Completed),
                Err(error) => panic!("{error}"),
            }
        }
        shop.assert_sound().await;
    }
    let held: i64 = sqlx::query_scalar("SELECT count(*) FROM orders WHERE status <> 'CANCELLED'")
        .fetch_one(&shop.pool)
        .await
        .unwrap();
    assert_eq!(shop.stock(mug).await, 100 - held);
}

/// A cancellation and a worker that meet at the order's row, which somebody holds until both are under way: first the
/// one that begins first, and so the end that this leads to.
struct Meeting {
    shop: Arc<Shop>,
    customer: UserId,
    mug: ProductId,
    order: OrderId,
    held: Transaction<'static, Postgres>,
}

impl Meeting {
    async fn of(shop: Shop, customer: UserId, mug: ProductId, order: OrderId) -> Self {
        let mut held = shop.pool.begin().await.unwrap();
        sqlx::query("SELECT FROM orders WHERE id = $1 FOR UPDATE").bind(order).execute(&mut *held).await.unwrap();
        Self { shop: Arc::new(shop), customer, mug, order, held }
    }

    /// A shop whose order nobody has claimed.
    async fn unclaimed(pool: PgPool) -> Self {
        let shop = Shop::new(pool);
        let (customer, mug) = (shop.customer().await, shop.product("1", 5).await);
        let order = shop.order(customer, &[(mug, 1)], "test").await;
        Self::of(shop, customer, mug, order).await
    }

    /// A shop whose order is being charged.
    async fn claimed(pool: PgPool) -> (Self, Claim) {
        let shop = Shop::new(pool);
        let (customer, mug) = (shop.customer().await, shop.product("1", 5).await);
        let order = shop.order(customer, &[(mug, 1)], "test").await;
        let claim = claimed(&shop, order).await.unwrap();
        (Self::of(shop, customer, mug, order).await, claim)
    }

    fn cancel(&self) -> JoinHandle<Result<OrderStatus, CancelError>> {
        let (shop, customer, order) = (Arc::clone(&self.shop), self.customer, self.order);
        tokio::spawn(async move {
            cancel(&shop.pool, &shop.announcer, customer, order).await.map(|cancelled| cancelled.status)
        })
    }

    /// Waits until so many of them wait for a lock.
    async fn wait_for(&self, waiting: i64) {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(sql).fetch_one(&self.shop.pool).await.unwrap() < waiting {
            tokio::task::yield_now().await;
        }
    }

    /// Lets the order's row go.
    async fn go(self) -> (Arc<Shop>, OrderId, ProductId) {
        self.held.rollback().await.unwrap();
        (self.shop, self.order, self.mug)
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_claim_that_comes_after_the_cancellation_takes_nothing_and_the_order_is_cancelled(pool: PgPool) {
    let meeting = Meeting::unclaimed(pool).await;
    let cancelling = meeting.cancel();
    meeting.wait_for(1).await;
    assert!(claimed(&meeting.shop, meeting.order).await.is_none(), "the cancellation has the job");

    let (shop, order, mug) = meeting.go().await;

    assert_eq!(cancelling.await.unwrap().unwrap(), OrderStatus::Cancelled);
    assert!(claimed(&shop, order).await.is_none());
    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Cancelled, 5));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_cancellation_that_comes_after_the_claim_is_refused_and_the_order_is_paid(pool: PgPool) {
    let meeting = Meeting::unclaimed(pool).await;
    let (shop, order) = (Arc::clone(&meeting.shop), meeting.order);
    let claiming = tokio::spawn(async move { claimed(&shop, order).await.unwrap() });
    meeting.wait_for(1).await;
    let cancelling = meeting.cancel();
    meeting.wait_for(2).await;

    let (shop, order, mug) = meeting.go().await;

    let claim = claiming.await.unwrap();
    let refused = cancelling.await.unwrap();
    assert!(matches!(refused, Err(CancelError::ChargeInFlight)), "{refused:?}");
    assert_eq!(paid(&shop, &claim).await, Settled::Ended(OrderStatus::Completed));
    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Completed, 4));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_cancellation_that_meets_the_settlement_finds_the_order_paid(pool: PgPool) {
    let (meeting, claim) = Meeting::claimed(pool).await;
    let shop = Arc::clone(&meeting.shop);
    let settling = tokio::spawn(async move { paid(&shop, &claim).await });
    meeting.wait_for(1).await;
    let cancelling = meeting.cancel();
    meeting.wait_for(2).await;

    let (shop, order, mug) = meeting.go().await;

    assert_eq!(settling.await.unwrap(), Settled::Ended(OrderStatus::Completed));
    let refused = cancelling.await.unwrap();
    assert!(matches!(refused, Err(CancelError::AlreadyEnded(OrderStatus::Completed))), "{refused:?}");
    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Completed, 4));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_cancellation_that_meets_a_decline_that_may_be_retried_wins(pool: PgPool) {
    let (meeting, claim) = Meeting::claimed(pool).await;
    let shop = Arc::clone(&meeting.shop);
    let settling = tokio::spawn(async move { settled(&shop, &claim, try_again_later()).await });
    meeting.wait_for(1).await;
    let cancelling = meeting.cancel();
    meeting.wait_for(2).await;

    let (shop, order, mug) = meeting.go().await;

    assert_eq!(settling.await.unwrap(), Settled::Again(Duration::ZERO));
    assert_eq!(cancelling.await.unwrap().unwrap(), OrderStatus::Cancelled);
    assert!(claimed(&shop, order).await.is_none());
    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Cancelled, 5));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_that_is_cancelled_again_is_given_as_it_is(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 5).await;
    let id = shop.order(customer, &[(mug, 1)], "test").await;

    let first = cancel(&shop.pool, &shop.announcer, customer, id).await.unwrap();
    let again = cancel(&shop.pool, &shop.announcer, customer, id).await.unwrap();

    assert_eq!((again.status, again.updated_at), (OrderStatus::Cancelled, first.updated_at));
    assert_eq!((shop.stock(mug).await, events(&shop, customer).await.len()), (5, 3));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_that_has_ended_otherwise_is_not_cancelled(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 5).await;
    let paid_for = shop.order(customer, &[(mug, 1)], "test").await;
    paid(&shop, &claimed(&shop, paid_for).await.unwrap()).await;
    let declined = shop.order(customer, &[(mug, 1)], "test").await;
    let refusal = Outcome::Declined { code: "card_declined".to_owned(), retryable: false };
    settled(&shop, &claimed(&shop, declined).await.unwrap(), refusal).await;

    for (id, status) in [(paid_for, OrderStatus::Completed), (declined, OrderStatus::Failed)] {
        let refused = cancel(&shop.pool, &shop.announcer, customer, id).await;
        assert!(matches!(refused, Err(CancelError::AlreadyEnded(is)) if is == status), "{refused:?}");
    }
    assert_eq!(shop.stock(mug).await, 4);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_that_has_lost_its_job_or_whose_job_is_dead_is_cancelled_unless_a_key_is_open(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 5).await;
    for lose in ["DELETE FROM jobs WHERE order_id = $1", "UPDATE jobs SET state = 'dead' WHERE order_id = $1"] {
        let id = shop.order(customer, &[(mug, 1)], "test").await;
        sqlx::query(lose).bind(id).execute(&shop.pool).await.unwrap();
        let charging = "UPDATE payments SET open_key = id || ':0' WHERE order_id = $1";
        sqlx::query(charging).bind(id).execute(&shop.pool).await.unwrap();

        let refused = cancel(&shop.pool, &shop.announcer, customer, id).await;
        assert!(matches!(refused, Err(CancelError::ChargeInFlight)), "{refused:?}");

        let answered = "UPDATE payments SET open_key = NULL WHERE order_id = $1";
        sqlx::query(answered).bind(id).execute(&shop.pool).await.unwrap();
        let order = cancel(&shop.pool, &shop.announcer, customer, id).await.unwrap();
        assert_eq!((order.status, shop.stock(mug).await), (OrderStatus::Cancelled, 5));
        shop.assert_sound().await;
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn nobody_cancels_the_order_of_another(pool: PgPool) {
    let shop = Shop::new(pool);
    let (ada, bob) = (shop.customer().await, shop.customer().await);
    let mug = shop.product("1", 5).await;
    let id = shop.order(ada, &[(mug, 1)], "test").await;

    for order in [id, OrderId::new()] {
        let refused = cancel(&shop.pool, &shop.announcer, bob, order).await;
        assert!(matches!(refused, Err(CancelError::NotFound)), "{refused:?}");
    }
    assert_eq!((shop.status(id).await, shop.stock(mug).await), (OrderStatus::Pending, 4));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_cancellation_whose_commit_lost_its_answer_has_happened_and_one_that_never_arrived_has_not(pool: PgPool) {
    let proxy = Proxy::before(&pool).await;
    let shop = Shop::new(proxy.pool.clone());
    let customer = shop.customer().await;
    let mug = shop.product("1", 5).await;
    let id = shop.order(customer, &[(mug, 1)], "test").await;

    proxy.next_commit(Commit::IsLost);
    let refused = cancel(&shop.pool, &shop.announcer, customer, id).await;
    assert!(matches!(refused, Err(CancelError::Database(_))), "{refused:?}");
    assert_eq!((shop.status(id).await, shop.stock(mug).await), (OrderStatus::Pending, 4));

    proxy.next_commit(Commit::LosesItsAnswer);
    cancel(&shop.pool, &shop.announcer, customer, id).await.unwrap();
    assert_eq!((shop.status(id).await, shop.stock(mug).await), (OrderStatus::Cancelled, 5));
    shop.assert_sound().await;
}
