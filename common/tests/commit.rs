//! Commits whose answer gets lost, on a real connection that breaks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use shop_common::db::{Locks, MIGRATOR};
use shop_common::id::BootId;
use shop_common::jobs::Token;
use shop_common::jobs::queue::Lease;
use shop_common::jobs::retry::Backoff;
use shop_common::orders::claim;
use shop_common::orders::place::PlaceError;
use shop_common::orders::settle::{self, Settled, Settlement};
use shop_common::orders::status::OrderStatus;
use shop_common::payments::Outcome;
use shop_common::payments::next::Policy;
use shop_testkit::proxy::{Commit, Proxy};
use shop_testkit::{Shop, order, order_id};
use sqlx::PgPool;

const LEASE: Duration = Duration::from_secs(15);

async fn orders(shop: &Shop) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&shop.pool).await.unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_whose_commit_lost_its_answer_is_accepted_once(pool: PgPool) {
    let proxy = Proxy::before(&pool).await;
    let shop = Shop::new(proxy.pool.clone());
    let customer = shop.customer().await;
    let mug = shop.product("1", 5).await;

    proxy.next_commit(Commit::LosesItsAnswer);
    let placed = shop.placement.place(order(customer, &[(mug, 1)], "test")).await.unwrap();

    assert_eq!(shop.status(order_id(&placed)).await, OrderStatus::Pending);
    assert_eq!((orders(&shop).await, shop.stock(mug).await), (1, 4));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_whose_commit_never_arrived_is_not_accepted(pool: PgPool) {
    let proxy = Proxy::before(&pool).await;
    let shop = Shop::new(proxy.pool.clone());
    let customer = shop.customer().await;
    let mug = shop.product("1", 5).await;

    proxy.next_commit(Commit::IsLost);
    let placed = shop.placement.place(order(customer, &[(mug, 1)], "test")).await;

    assert!(matches!(placed, Err(PlaceError::Database(_))), "{placed:?}");
    assert_eq!((orders(&shop).await, shop.stock(mug).await), (0, 5));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refusal_under_a_key_whose_commit_lost_its_answer_is_kept(pool: PgPool) {
    let proxy = Proxy::before(&pool).await;
    let shop = Shop::new(proxy.pool.clone());
    let mug = shop.product("1", 0).await;
    let mut wanted = order(shop.customer().await, &[(mug, 1)], "test");
    wanted.key = Some("cart-7".parse().unwrap());

    proxy.next_commit(Commit::LosesItsAnswer);
    let first = shop.placement.place(wanted.clone()).await.unwrap();
    let again = shop.placement.place(wanted).await.unwrap();

    assert_eq!(first.answer, again.answer);
    assert!(again.replayed);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_claim_and_a_settlement_whose_commits_lost_their_answers_have_happened(pool: PgPool) {
    let proxy = Proxy::before(&pool).await;
    let shop = Shop::new(proxy.pool.clone());
    let mug = shop.product("1", 5).await;
    let id = shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    let boot = BootId::new();
    let lease = Lease { job: shop.job_of(id).await, token: Token::new(boot, 1) };

    proxy.next_commit(Commit::LosesItsAnswer);
    let leases = std::slice::from_ref(&lease);
    let claims = claim::claim(&shop.pool, &shop.announcer, leases, boot, LEASE).await.unwrap();
    assert_eq!(claims.len(), 1);

    proxy.next_commit(Commit::LosesItsAnswer);
    let settlement = Settlement {
        lease,
        key: claims[0].key.clone(),
        outcome: Outcome::Declined { code: "card_declined".to_owned(), retryable: false },
        jitter: 0.5,
    };
    let policy = Policy { backoff: Backoff { base: Duration::ZERO, cap: Duration::ZERO }, max_attempts: 5 };
    let settled = settle::settle(&shop.pool, &shop.announcer, policy, Locks::Usual, &[settlement]).await.unwrap();

    assert_eq!(settled, [Settled::Ended(OrderStatus::Failed)]);
    assert_eq!(shop.stock(mug).await, 5);
    shop.assert_sound().await;
}
