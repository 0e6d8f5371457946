//! Repairs: each is needed once, and done; and nothing else is touched.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use shop_common::db::{Ending, MIGRATOR};
use shop_common::id::OrderId;
use shop_common::repair::{Deed, repair};
use shop_common::verify::{self, Ledger};
use shop_testkit::Shop;
use sqlx::{AssertSqlSafe, PgPool};

/// A shop with one order, into whose books somebody has written by hand.
async fn broken_by(pool: PgPool, sql: &'static str) -> (Shop, OrderId) {
    let shop = Shop::new(pool);
    let mug = shop.product("2", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 2)], "test").await;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&shop.pool).await.unwrap();
    (shop, order)
}

async fn deeds(shop: &Shop, ending: Ending) -> Vec<(Deed, OrderId)> {
    let mut repairs = Vec::new();
    repair(&shop.pool, ending, &mut repairs).await.unwrap();
    repairs.iter().map(|repair| (repair.deed, repair.order)).collect()
}

async fn is_sound(shop: &Shop) -> bool {
    verify::verify(&shop.pool, Ledger::Here).await.unwrap().iter().all(|finding| finding.violations.is_empty())
}

/// Everything that a repair could have changed.
async fn books(shop: &Shop) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT j::text FROM jobs j UNION ALL SELECT o::text FROM orders o UNION ALL SELECT p::text FROM payments p
         UNION ALL SELECT s::text FROM products s ORDER BY 1",
    )
    .fetch_all(&shop.pool)
    .await
    .unwrap()
}

async fn is_repaired(pool: PgPool, sql: &'static str, deed: Deed) -> Shop {
    let (shop, order) = broken_by(pool, sql).await;
    assert!(!is_sound(&shop).await);
    let before = books(&shop).await;
    assert_eq!(deeds(&shop, Ending::DryRun).await, [(deed, order)]);
    assert_eq!(books(&shop).await, before, "a dry run changes nothing");

    assert_eq!(deeds(&shop, Ending::Commit).await, [(deed, order)]);

    shop.assert_sound().await;
    assert_eq!(deeds(&shop, Ending::Commit).await, []);
    shop
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_open_order_whose_job_is_dead_gets_it_back(pool: PgPool) {
    is_repaired(pool, "UPDATE jobs SET state = 'dead'", Deed::JobScheduled).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_open_order_whose_job_is_cancelled_gets_it_back(pool: PgPool) {
    is_repaired(pool, "UPDATE jobs SET state = 'cancelled'", Deed::JobScheduled).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_open_order_whose_job_is_done_without_an_end_gets_another(pool: PgPool) {
    is_repaired(pool, "UPDATE jobs SET state = 'completed'", Deed::JobMade).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_open_order_without_a_job_gets_one_that_numbers_its_claims_on(pool: PgPool) {
    let sql = "DELETE FROM jobs; UPDATE orders SET status = 'PROCESSING';
               INSERT INTO payment_attempts (payment_id, claim, charge_key, outcome)
               SELECT id, 3, id || ':1', 'unknown' FROM payments";
    let shop = is_repaired(pool, sql, Deed::JobMade).await;

    let job: (i32, i32, bool) = sqlx::query_as(
        "SELECT j.claims, j.retries, j.payload ->> 'paymentId' = p.id::text
         FROM jobs j JOIN payments p ON p.order_id = j.order_id",
    )
    .fetch_one(&shop.pool)
    .await
    .unwrap();
    assert_eq!(job, (3, 3, true));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_scheduled_job_of_an_order_that_has_ended_is_cancelled(pool: PgPool) {
    let sql = "UPDATE orders SET status = 'FAILED'; UPDATE payments SET status = 'FAILED';
               UPDATE products SET stock = stock + 2";
    is_repaired(pool, sql, Deed::JobCancelled).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_sound_shop_is_not_touched(pool: PgPool) {
    let (shop, _) = broken_by(pool, "SELECT").await;
    let mug = shop.product("2", 5).await;
    let failed = shop.order(shop.customer().await, &[(mug, 2)], "test").await;
    let sql = format!(
        "UPDATE orders SET status = 'FAILED' WHERE id = '{failed}';
         UPDATE payments SET status = 'FAILED' WHERE order_id = '{failed}';
         UPDATE jobs SET state = 'dead' WHERE order_id = '{failed}';
         UPDATE products SET stock = stock + 2 WHERE id = '{mug}'"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&shop.pool).await.unwrap();
    shop.assert_sound().await;
    let before = books(&shop).await;

    assert_eq!(deeds(&shop, Ending::Commit).await, []);

    assert_eq!(books(&shop).await, before);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_has_no_proof_is_only_reported(pool: PgPool) {
    let (shop, _) = broken_by(pool, "UPDATE jobs SET state = 'dead'").await;
    for sql in [
        "UPDATE payments SET status = 'FAILED'",
        "UPDATE payments SET status = 'PENDING', amount_minor = amount_minor + 1",
        "UPDATE payments SET amount_minor = amount_minor - 1; UPDATE orders SET status = 'COMPLETED';
         UPDATE jobs SET state = 'running', token = 'x', boot_id = gen_random_uuid()",
    ] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&shop.pool).await.unwrap();
        let before = books(&shop).await;

        assert_eq!(deeds(&shop, Ending::Commit).await, [], "{sql}");

        assert_eq!(books(&shop).await, before);
        assert!(!is_sound(&shop).await, "{sql}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn of_repairs_at_the_same_time_one_makes_the_job(pool: PgPool) {
    let (shop, _) = broken_by(pool, "DELETE FROM jobs").await;

    let repairs = futures::future::join_all((0..8).map(|_| deeds(&shop, Ending::Commit))).await;

    assert_eq!(repairs.into_iter().flatten().count(), 1);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_repaired_before_the_database_refused_is_told(pool: PgPool) {
    let (shop, first) = broken_by(pool, "SELECT").await;
    let mug = shop.product("2", 5).await;
    let second = shop.order(shop.customer().await, &[(mug, 2)], "test").await;
    let sql = format!(
        "UPDATE jobs SET state = 'dead';
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is full'; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE ON jobs FOR EACH ROW WHEN (NEW.order_id = '{second}')
         EXECUTE FUNCTION refuse()"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&shop.pool).await.unwrap();
    let mut repairs = Vec::new();

    repair(&shop.pool, Ending::Commit, &mut repairs).await.unwrap_err();

    assert_eq!(repairs.iter().map(|repair| repair.order).collect::<Vec<_>>(), [first]);
}
