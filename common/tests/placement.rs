//! Placing orders, on a real database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use futures::future::join_all;
use shop_common::db::MIGRATOR;
use shop_common::id::ProductId;
use shop_common::orders::place::PlaceError;
use shop_common::orders::status::OrderStatus;
use shop_common::orders::{idempotency, queries};
use shop_common::products::{self, Expected, ProductChanges};
use shop_testkit::{ACCEPTED, Shop, body, money, order, order_id};
use sqlx::PgPool;

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_takes_stock_and_keeps_the_price_of_its_moment(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let (mug, tea) = (shop.product("12.50", 10).await, shop.product("3.99", 5).await);

    let id = shop.order(customer, &[(mug, 2), (tea, 1)], "pm_sim_success").await;
    let dearer = ProductChanges { price: Some("99".parse().unwrap()), ..ProductChanges::default() };
    products::queries::update(&shop.pool, mug, &Expected::Any, &dearer, None).await.unwrap();

    let placed = queries::find(&shop.pool, customer, id).await.unwrap().unwrap();
    assert_eq!(placed.status, OrderStatus::Pending);
    assert_eq!(placed.total, money("28.99"));
    let items: Vec<_> = placed.order_items.iter().map(|item| (item.product.id, item.quantity, item.price)).collect();
    assert_eq!(items, [(mug, 2, money("12.50")), (tea, 1, money("3.99"))]);
    assert_eq!((shop.stock(mug).await, shop.stock(tea).await), (8, 4));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn five_hundred_buyers_of_a_hundred_units_leave_a_hundred_orders_and_no_stock(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 100).await;

    let answers =
        join_all((0..500).map(|_| shop.placement.place(order(customer, &[(mug, 1)], "pm_sim_success")))).await;

    let accepted = answers.iter().filter(|answer| answer.as_ref().unwrap().answer.status == ACCEPTED).count();
    assert_eq!((accepted, shop.stock(mug).await), (100, 0));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn two_apis_that_sell_the_same_products_in_opposite_order_neither_oversell_nor_deadlock(pool: PgPool) {
    let (one, other) = (Shop::new(pool.clone()), Shop::new(pool));
    let customer = one.customer().await;
    let (mug, tea) = (one.product("1", 60).await, one.product("1", 60).await);

    let there = join_all((0..50).map(|_| one.placement.place(order(customer, &[(mug, 1), (tea, 1)], "test"))));
    let back = join_all((0..50).map(|_| other.placement.place(order(customer, &[(tea, 1), (mug, 1)], "test"))));
    let (there, back) = tokio::join!(there, back);

    let accepted =
        there.iter().chain(&back).filter(|answer| answer.as_ref().unwrap().answer.status == ACCEPTED).count();
    assert_eq!((accepted, one.stock(mug).await, one.stock(tea).await), (60, 0, 0));
    one.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_that_cannot_be_filled_takes_nothing(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let (mug, tea) = (shop.product("1", 5).await, shop.product("1", 1).await);

    let refused = shop.placement.place(order(customer, &[(mug, 1), (tea, 2)], "test")).await.unwrap();
    let unknown = shop.placement.place(order(customer, &[(mug, 1), (ProductId::new(), 1)], "test")).await.unwrap();

    assert_eq!(body(&refused), "only 1 left");
    assert!(body(&unknown).contains("UnknownProduct"));
    assert_eq!((shop.stock(mug).await, shop.stock(tea).await), (5, 1));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_deleted_product_cannot_be_ordered_but_its_orders_still_show_it(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 5).await;
    let id = shop.order(customer, &[(mug, 1)], "test").await;

    products::queries::delete(&shop.pool, mug, &Expected::Any).await.unwrap();

    let refused = shop.placement.place(order(customer, &[(mug, 1)], "test")).await.unwrap();
    assert_ne!(refused.answer.status, ACCEPTED);
    let placed = queries::find(&shop.pool, customer, id).await.unwrap().unwrap();
    assert_eq!(placed.order_items[0].product.id, mug);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn nobody_finds_the_order_of_another(pool: PgPool) {
    let shop = Shop::new(pool);
    let (ada, bob) = (shop.customer().await, shop.customer().await);
    let mug = shop.product("1", 5).await;
    let id = shop.order(ada, &[(mug, 1)], "test").await;

    assert!(queries::find(&shop.pool, ada, id).await.unwrap().is_some());
    assert!(queries::find(&shop.pool, bob, id).await.unwrap().is_none());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_same_key_gives_the_same_answer_and_one_order(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 5).await;
    let mut wanted = order(customer, &[(mug, 1)], "test");
    wanted.key = Some("cart-7".parse().unwrap());

    let first = shop.placement.place(wanted.clone()).await.unwrap();
    let again = shop.placement.place(wanted.clone()).await.unwrap();

    assert_eq!(first.answer, again.answer);
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!(shop.stock(mug).await, 4);

    wanted.lines = order(customer, &[(mug, 2)], "test").lines;
    assert!(matches!(shop.placement.place(wanted).await, Err(PlaceError::KeyReused)));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_same_key_of_two_customers_is_two_keys(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 5).await;
    let mut ids = Vec::new();
    for customer in [shop.customer().await, shop.customer().await] {
        let mut wanted = order(customer, &[(mug, 1)], "test");
        wanted.key = Some("cart-7".parse().unwrap());
        ids.push(order_id(&shop.placement.place(wanted).await.unwrap()));
    }
    assert_ne!(ids[0], ids[1]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn fifty_requests_with_one_key_over_two_apis_make_one_order(pool: PgPool) {
    let (one, other) = (Shop::new(pool.clone()), Shop::new(pool));
    let customer = one.customer().await;
    let mug = one.product("1", 100).await;
    let mut wanted = order(customer, &[(mug, 1)], "test");
    wanted.key = Some("cart-7".parse().unwrap());

    let answers = join_all((0..50).map(|n| {
        let placement = if n % 2 == 0 { &one.placement } else { &other.placement };
        let wanted = wanted.clone();
        async move {
            loop {
                match placement.place(wanted.clone()).await {
                    Err(PlaceError::KeyInFlight) => {}
                    answer => return answer.unwrap(),
                }
            }
        }
    }))
    .await;

    assert!(answers.iter().all(|answer| answer.answer == answers[0].answer));
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert_eq!(one.stock(mug).await, 99);
    one.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_key_whose_first_request_is_in_flight_waits_and_then_says_so(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 5).await;
    let mut wanted = order(customer, &[(mug, 1)], "test");
    wanted.key = Some("cart-7".parse().unwrap());
    // Another api, in the middle of its transaction.
    let mut elsewhere = shop.pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('POST /orders ' || $1::uuid || ' cart-7', 0))")
        .bind(customer)
        .execute(&mut *elsewhere)
        .await
        .unwrap();

    assert!(matches!(shop.placement.place(wanted.clone()).await, Err(PlaceError::KeyInFlight)));

    elsewhere.rollback().await.unwrap();
    assert!(!shop.placement.place(wanted).await.unwrap().replayed);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refusal_is_replayed_too_even_when_there_is_stock_again(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 0).await;
    let mut wanted = order(customer, &[(mug, 1)], "test");
    wanted.key = Some("cart-7".parse().unwrap());

    let refused = shop.placement.place(wanted.clone()).await.unwrap();
    products::stock::adjust(&shop.pool, mug, 5, &"found some".parse().unwrap(), None).await.unwrap();
    let again = shop.placement.place(wanted).await.unwrap();

    assert_eq!(refused.answer, again.answer);
    assert!(again.replayed);
    assert_eq!(shop.stock(mug).await, 5);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_key_is_forgotten_after_a_day(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 5).await;
    let mut wanted = order(customer, &[(mug, 1)], "test");
    wanted.key = Some("cart-7".parse().unwrap());
    let first = shop.placement.place(wanted.clone()).await.unwrap();
    sqlx::query("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
        .execute(&shop.pool)
        .await
        .unwrap();

    let second = shop.placement.place(wanted.clone()).await.unwrap();
    let third = shop.placement.place(wanted).await.unwrap();

    assert_ne!(first.answer, second.answer);
    assert_eq!(second.answer, third.answer);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn old_keys_are_deleted_a_few_at_a_time_and_young_ones_stay(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 9).await;
    for key in ["old-1", "old-2", "old-3", "young"] {
        let mut wanted = order(customer, &[(mug, 1)], "test");
        wanted.key = Some(key.parse().unwrap());
        shop.placement.place(wanted).await.unwrap();
    }
    let age = "UPDATE idempotency_keys
               SET created_at = now() - make_interval(hours => CASE WHEN key LIKE 'old%' THEN 25 ELSE 23 END)";
    sqlx::query(age).execute(&shop.pool).await.unwrap();

    let mut gone = Vec::new();
    for _ in 0..3 {
        gone.push(idempotency::forget(&shop.pool, 2).await.unwrap());
    }

    assert_eq!(gone, [2, 1, 0]);
    let left: Vec<String> = sqlx::query_scalar("SELECT key FROM idempotency_keys").fetch_all(&shop.pool).await.unwrap();
    assert_eq!(left, ["young"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_bad_order_fails_alone(pool: PgPool) {
    let shop = Shop::new(pool);
    let (customer, nobody) = (shop.customer().await, shop_common::id::UserId::new());
    let mug = shop.product("1", 100).await;

    // An order of a user that does not exist breaks a foreign key, and with it the transaction of its group.
    let answers = join_all((0..20).map(|n| {
        let who = if n == 10 { nobody } else { customer };
        shop.placement.place(order(who, &[(mug, 1)], "test"))
    }))
    .await;

    assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 1);
    assert!(matches!(answers[10], Err(PlaceError::Database(_))));
    assert_eq!(shop.stock(mug).await, 81);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn events_of_a_user_are_numbered_without_gaps(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 100).await;

    join_all((0..30).map(|_| shop.placement.place(order(customer, &[(mug, 1)], "test")))).await;

    let numbers: Vec<i64> = sqlx::query_scalar("SELECT seq FROM events WHERE user_id = $1 ORDER BY seq")
        .bind(customer)
        .fetch_all(&shop.pool)
        .await
        .unwrap();
    assert_eq!(numbers, (1..=30).collect::<Vec<_>>());
}
