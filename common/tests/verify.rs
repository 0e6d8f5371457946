//! `verify` finds what it is there to find: each invariant is broken once, and reported.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use shop_common::db::MIGRATOR;
use shop_common::verify::{self, Ledger};
use shop_testkit::Shop;
use sqlx::{AssertSqlSafe, PgPool};

/// A shop with one order, into whose books somebody writes by hand; and which invariants then speak.
async fn broken_by(pool: PgPool, sql: &'static str) -> Vec<&'static str> {
    let shop = scribbled(pool, sql).await;
    broken(&shop, Ledger::Here).await
}

async fn scribbled(pool: PgPool, sql: &'static str) -> Shop {
    let shop = Shop::new(pool);
    let mug = shop.product("2", 5).await;
    shop.order(shop.customer().await, &[(mug, 2)], "test").await;
    shop.assert_sound().await;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&shop.pool).await.unwrap();
    shop
}

async fn broken(shop: &Shop, books: Ledger) -> Vec<&'static str> {
    let findings = verify::verify(&shop.pool, books).await.unwrap();
    findings.iter().filter(|finding| !finding.violations.is_empty()).map(|finding| finding.invariant).collect()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn stock_that_nobody_can_explain_breaks_i1(pool: PgPool) {
    assert_eq!(broken_by(pool, "UPDATE products SET stock = stock + 1").await, ["I1"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn stock_released_twice_breaks_i1(pool: PgPool) {
    let sql = "UPDATE orders SET status = 'FAILED'; UPDATE payments SET status = 'FAILED';
               UPDATE jobs SET state = 'dead'; UPDATE products SET stock = stock + 4";
    assert_eq!(broken_by(pool, sql).await, ["I1"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_stock_that_lists_do_not_know_breaks_i1(pool: PgPool) {
    assert_eq!(broken_by(pool, "UPDATE stock_levels SET pieces = pieces + 1").await, ["I1"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_product_that_lists_by_stock_leave_out_breaks_i1(pool: PgPool) {
    assert_eq!(broken_by(pool, "DELETE FROM stock_levels").await, ["I1"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_total_that_is_not_the_sum_of_its_items_breaks_i1(pool: PgPool) {
    let sql = "UPDATE orders SET total_minor = total_minor + 1; UPDATE payments SET amount_minor = amount_minor + 1";
    assert_eq!(broken_by(pool, sql).await, ["I1"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_completed_order_without_a_charge_breaks_i2(pool: PgPool) {
    let sql = "UPDATE orders SET status = 'COMPLETED'; UPDATE jobs SET state = 'completed';
               UPDATE payments SET status = 'COMPLETED', reference = 'made up'";
    assert_eq!(broken_by(pool, sql).await, ["I2"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_completed_order_whose_charge_was_given_back_breaks_i2(pool: PgPool) {
    let sql = "INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, state)
               SELECT id || ':1', id, amount_minor, currency, method, 'refunded' FROM payments;
               UPDATE orders SET status = 'COMPLETED'; UPDATE jobs SET state = 'completed';
               UPDATE payments SET status = 'COMPLETED', reference = 'sim_' || id || ':1'";
    assert_eq!(broken_by(pool, sql).await, ["I2"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn two_captured_charges_of_one_payment_break_i2(pool: PgPool) {
    let sql = "INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, state)
               SELECT id || ':' || n, id, amount_minor, currency, method, 'captured'
               FROM payments, generate_series(1, 2) AS n";
    assert_eq!(broken_by(pool, sql).await, ["I2"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_charge_of_a_failed_order_breaks_i2(pool: PgPool) {
    let sql = "INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, state)
               SELECT id || ':1', id, amount_minor, currency, method, 'captured' FROM payments;
               UPDATE orders SET status = 'FAILED'; UPDATE payments SET status = 'FAILED';
               UPDATE jobs SET state = 'dead'; UPDATE products SET stock = stock + 2";
    assert_eq!(broken_by(pool, sql).await, ["I2"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_charge_that_the_shop_does_not_know_breaks_i2(pool: PgPool) {
    let sql = "INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, state)
               VALUES ('x:1', 'x', 1, 'USD', 'test', 'captured')";
    assert_eq!(broken_by(pool, sql).await, ["I2"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_payment_that_is_not_as_far_as_its_order_breaks_i2_wherever_the_ledger_is(pool: PgPool) {
    let shop = scribbled(pool, "UPDATE payments SET status = 'FAILED'").await;
    assert_eq!(broken(&shop, Ledger::Here).await, ["I2"]);
    assert_eq!(broken(&shop, Ledger::Elsewhere).await, ["I2"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_payment_of_another_amount_than_its_order_breaks_i2_wherever_the_ledger_is(pool: PgPool) {
    let shop = scribbled(pool, "UPDATE payments SET amount_minor = amount_minor + 1").await;
    assert_eq!(broken(&shop, Ledger::Elsewhere).await, ["I2"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_ledger_that_is_elsewhere_is_not_looked_for_here(pool: PgPool) {
    let sql = "UPDATE orders SET status = 'COMPLETED'; UPDATE jobs SET state = 'completed';
               UPDATE payments SET status = 'COMPLETED', reference = 'by another gateway'";
    assert!(broken(&scribbled(pool, sql).await, Ledger::Elsewhere).await.is_empty());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_charge_that_was_given_back_counts_no_more(pool: PgPool) {
    let sql = "INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, state)
               SELECT id || ':1', id, amount_minor, currency, method, 'refunded' FROM payments;
               UPDATE orders SET status = 'FAILED'; UPDATE payments SET status = 'FAILED';
               UPDATE jobs SET state = 'dead'; UPDATE products SET stock = stock + 2";
    assert!(broken_by(pool, sql).await.is_empty());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_open_order_without_a_live_job_breaks_i4(pool: PgPool) {
    assert_eq!(broken_by(pool, "UPDATE jobs SET state = 'dead'").await, ["I4"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_schema_itself_refuses_nonsense(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("2", 5).await;
    shop.order(shop.customer().await, &[(mug, 2)], "test").await;
    for (sql, constraint) in [
        ("UPDATE products SET stock = -1", "products_stock_not_negative"),
        ("UPDATE products SET price_minor = 0", "products_price_in_range"),
        ("UPDATE orders SET status = 'LOST'", "orders_status_known"),
        ("UPDATE order_items SET quantity = 0", "order_items_quantity_in_range"),
        ("UPDATE payments SET status = 'COMPLETED'", "payments_completed_has_reference"),
        ("UPDATE jobs SET state = 'running'", "jobs_running_has_owner"),
        ("UPDATE users SET email = upper(email)", "users_email_lowercase"),
        (
            "INSERT INTO jobs (id, kind, version, payload, order_id) SELECT gen_random_uuid(), kind, 1, payload, order_id FROM jobs",
            "jobs_one_live_per_order",
        ),
    ] {
        let error = sqlx::query(AssertSqlSafe(sql)).execute(&shop.pool).await.unwrap_err();
        assert_eq!(error.as_database_error().and_then(|e| e.constraint()), Some(constraint), "{sql}");
    }
}
