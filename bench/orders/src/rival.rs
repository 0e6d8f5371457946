//! The rival: the least that an order takes, in one statement and one round trip, on tables that have nothing else.

use shop_bench_kit::shop::Shop;

use crate::works::{CUSTOMERS, Carts, PRODUCTS, Work};

/// Its tables: keys, references, the wall against overselling and the index by which a worker would find its jobs. No
/// history, no events, no list that could be sorted, no key against doing it twice.
const TABLES: &str = "
    CREATE SCHEMA rival;
    CREATE TABLE rival.customers (id integer PRIMARY KEY);
    CREATE TABLE rival.products (
        id integer PRIMARY KEY, price bigint NOT NULL, stock bigint NOT NULL CHECK (stock >= 0)
    );
    CREATE TABLE rival.orders (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id integer NOT NULL REFERENCES rival.customers,
        status text NOT NULL DEFAULT 'PENDING', total bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE rival.order_items (
        order_id bigint NOT NULL REFERENCES rival.orders, product_id integer NOT NULL REFERENCES rival.products,
        quantity bigint NOT NULL, price bigint NOT NULL, PRIMARY KEY (order_id, product_id)
    );
    CREATE TABLE rival.payments (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id bigint NOT NULL UNIQUE REFERENCES rival.orders,
        status text NOT NULL DEFAULT 'PENDING', amount bigint NOT NULL
    );
    CREATE TABLE rival.jobs (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id bigint NOT NULL REFERENCES rival.orders,
        run_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX ON rival.jobs (run_at);
    CREATE TABLE rival.carts (
        cart integer NOT NULL, product_id integer NOT NULL, quantity bigint NOT NULL, PRIMARY KEY (cart, product_id)
    );";

/// What one order writes, of what was taken from the stock as `taken (id, quantity, price)`.
const WRITE: &str = "
    placed AS (
        INSERT INTO rival.orders (customer_id, total)
        SELECT :customer, sum(quantity * price) FROM taken HAVING count(*) > 0 RETURNING id, total
    ), items AS (
        INSERT INTO rival.order_items (order_id, product_id, quantity, price)
        SELECT placed.id, taken.id, taken.quantity, taken.price FROM placed, taken
    ), payments AS (
        INSERT INTO rival.payments (order_id, amount) SELECT id, total FROM placed
    )
    INSERT INTO rival.jobs (order_id) SELECT id FROM placed;";

/// Makes its tables, with as much in them as the shop has.
pub(crate) async fn open(shop: &Shop, carts: &[Vec<(usize, u32)>], products: usize, sold: usize) -> anyhow::Result<()> {
    shop.run(TABLES).await?;
    shop.run(&format!(
        "INSERT INTO rival.customers SELECT generate_series(1, {CUSTOMERS});
         INSERT INTO rival.products SELECT n, 1250, 1000000000 FROM generate_series(1, {products}) AS n;
         INSERT INTO rival.orders (customer_id, status, total) SELECT 1 + n % {CUSTOMERS}, 'COMPLETED', 1250 FROM generate_series(1, {sold}) AS n;
         INSERT INTO rival.order_items SELECT id, 1 + id % {products}, 1, 1250 FROM rival.orders;
         INSERT INTO rival.payments (order_id, status, amount) SELECT id, 'COMPLETED', 1250 FROM rival.orders;
         INSERT INTO rival.jobs (order_id) SELECT id FROM rival.orders"
    ))
    .await?;
    let lines = carts.iter().enumerate().flat_map(|(cart, lines)| lines.iter().map(move |line| (cart, line)));
    let (mut numbers, mut ids, mut quantities) = (Vec::new(), Vec::new(), Vec::new());
    for (cart, (product, quantity)) in lines {
        numbers.push(i32::try_from(cart + 1)?);
        ids.push(i32::try_from(product + 1)?);
        quantities.push(i64::from(*quantity));
    }
    sqlx::query("INSERT INTO rival.carts SELECT * FROM unnest($1::integer[], $2::integer[], $3::bigint[])")
        .bind(numbers)
        .bind(ids)
        .bind(quantities)
        .execute(&shop.pool)
        .await?;
    shop.run("VACUUM ANALYZE").await
}

/// The script for `pgbench`.
pub(crate) fn script(work: &Work, carts: usize) -> String {
    let customer = format!("\\set customer random(1, {CUSTOMERS})\n");
    if work.carts == Carts::Real {
        // The rows are locked in the order of their ids, or two orders would wait for each other.
        return format!(
            "{customer}\\set cart random(1, {carts})
            WITH locked AS (
                SELECT p.id, p.price, c.quantity FROM rival.products p JOIN rival.carts c ON c.product_id = p.id
                WHERE c.cart = :cart ORDER BY p.id FOR NO KEY UPDATE OF p
            ), taken AS (
                UPDATE rival.products p SET stock = p.stock - l.quantity FROM locked l WHERE p.id = l.id
                RETURNING p.id, l.quantity, p.price
            ), {WRITE}"
        );
    }
    let any = format!("random(1, {PRODUCTS})");
    let product = match work.carts {
        Carts::Hot => "1".to_owned(),
        Carts::Mixed => format!("case when random(0, 1) = 0 then 1 else {any} end"),
        Carts::Even | Carts::Real => any,
    };
    format!(
        "{customer}\\set product {product}
        WITH taken AS (
            UPDATE rival.products SET stock = stock - 1 WHERE id = :product AND stock >= 1
            RETURNING id, 1::bigint AS quantity, price
        ), {WRITE}"
    )
}

/// How many orders it has.
pub(crate) async fn orders(shop: &Shop) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM rival.orders").fetch_one(&shop.pool).await?)
}
