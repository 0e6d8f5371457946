//! Orders that are placed and not paid, written as placement writes them, but many at once.

use std::time::Duration;

use chrono::Utc;
use shop_bench_kit::shop::Shop;
use shop_common::events::{self, EventKind, NewEvent};
use shop_common::id::{JobId, OrderId, PaymentId, ProductId, UserId};
use shop_common::jobs::ChargePayment;
use shop_common::jobs::queue::Queue;
use shop_common::time::Timestamp;

const CUSTOMERS: usize = 1000;
const PRODUCTS: usize = 100;
/// Nobody runs out.
const STOCK: i64 = 1_000_000_000;
/// Orders of before. Of empty tables PostgreSQL would keep other plans.
const SOLD: usize = 20_000;
/// Orders in one transaction.
const CHUNK: usize = 1000;

/// Who buys what.
pub(crate) struct Books {
    pub(crate) customers: Vec<UserId>,
    pub(crate) products: Vec<ProductId>,
}

/// Orders, row by row, with what belongs to them.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    pub(crate) orders: Vec<OrderId>,
    pub(crate) payments: Vec<PaymentId>,
    pub(crate) jobs: Vec<JobId>,
    pub(crate) customers: Vec<UserId>,
}

impl Books {
    /// Opens them in an empty shop: customers, products, and orders of before.
    pub(crate) async fn open(shop: &Shop) -> anyhow::Result<Self> {
        let customers = shop.customers(CUSTOMERS).await?;
        let products = shop.products(PRODUCTS, STOCK).await?;
        shop.sold(SOLD, &customers, &products).await?;
        Ok(Self { customers, products })
    }

    /// Places so many orders of one piece. Their jobs are not there yet, see [`schedule`].
    pub(crate) async fn place(&self, shop: &Shop, count: usize) -> anyhow::Result<Placed> {
        let mut placed = Placed::default();
        while placed.orders.len() < count {
            let first = placed.orders.len();
            let size = CHUNK.min(count - first);
            placed.orders.extend(std::iter::repeat_with(OrderId::new).take(size));
            placed.payments.extend(std::iter::repeat_with(PaymentId::new).take(size));
            placed.jobs.extend(std::iter::repeat_with(JobId::new).take(size));
            placed.customers.extend(self.customers.iter().cycle().skip(first % CUSTOMERS).take(size));
            self.write(shop, &placed, first).await?;
        }
        Ok(placed)
    }

    /// Writes the orders from that one on.
    async fn write(&self, shop: &Shop, placed: &Placed, first: usize) -> anyhow::Result<()> {
        let (orders, customers) = (&placed.orders[first..], &placed.customers[first..]);
        let products: Vec<ProductId> = self.products.iter().copied().cycle().take(orders.len()).collect();
        let mut transaction = shop.pool.begin().await?;
        sqlx::query(PLACED)
            .bind(orders)
            .bind(&placed.payments[first..])
            .bind(customers)
            .bind(products)
            .execute(&mut *transaction)
            .await?;
        let event = |(order_id, user_id): (&OrderId, &UserId)| NewEvent {
            user_id: *user_id,
            order_id: *order_id,
            kind: EventKind::OrderStatus,
            data: serde_json::json!({ "status": "PENDING" }),
        };
        let told: Vec<NewEvent> = orders.iter().zip(customers).map(event).collect();
        events::append(&mut transaction, &told).await?;
        Ok(transaction.commit().await?)
    }
}

/// Writes the jobs of orders, each due at its time.
pub(crate) async fn write_jobs(shop: &Shop, placed: &Placed, due: &[Timestamp]) -> anyhow::Result<()> {
    sqlx::query(JOBS)
        .bind(&placed.jobs)
        .bind(&placed.payments)
        .bind(&placed.orders)
        .bind(due)
        .bind(ChargePayment::KIND)
        .bind(ChargePayment::VERSION)
        .execute(&shop.pool)
        .await?;
    Ok(())
}

/// Writes the jobs of orders, and puts them on the schedule. Fails if it is not done when the first of them is due.
pub(crate) async fn schedule(shop: &Shop, queue: &Queue, placed: &Placed, due: &[Timestamp]) -> anyhow::Result<()> {
    write_jobs(shop, placed, due).await?;
    for (jobs, due) in placed.jobs.chunks(CHUNK).zip(due.chunks(CHUNK)) {
        let now = Utc::now();
        let after = |due: &Timestamp| (*due - now).to_std().unwrap_or(Duration::ZERO);
        let jobs: Vec<_> = jobs.iter().copied().zip(due.iter().map(after)).collect();
        queue.schedule(&jobs).await?;
    }
    anyhow::ensure!(due.iter().min().is_none_or(|first| Utc::now() < *first), "writing the jobs has taken too long");
    Ok(())
}

const PLACED: &str = "
    WITH new AS (
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[]) AS t (id, payment, customer, product)
    ), sold AS (
        UPDATE products p SET stock = p.stock - t.sold FROM (SELECT product, count(*) AS sold FROM new GROUP BY product) t
        WHERE p.id = t.product
    ), new_orders AS (
        INSERT INTO orders (id, user_id, total_minor, currency, payment_method)
        SELECT id, customer, 1250, 'USD', 'pm_sim_success' FROM new
    ), items AS (
        INSERT INTO order_items (order_id, line, id, product_id, quantity, price_minor)
        SELECT id, 0, gen_random_uuid(), product, 1, 1250 FROM new
    )
    INSERT INTO payments (id, order_id, amount_minor, currency, method)
    SELECT payment, id, 1250, 'USD', 'pm_sim_success' FROM new";

/// With the id and the trace of the request that would have made each.
const JOBS: &str = "
    INSERT INTO jobs (id, kind, version, payload, order_id, run_at, request_id, traceparent)
    SELECT job, $5, $6, jsonb_build_object('paymentId', payment), order_id, run_at, job::text,
           concat('00-', replace(job::text, '-', ''), '-', left(md5(job::text), 16), '-01')
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[]) AS t (job, payment, order_id, run_at)";
