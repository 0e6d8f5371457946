//! What the tests of all crates share: a shop on the real servers, in a database and under a Redis prefix of its own.
//!
//! `DATABASE_URL` and `REDIS_URL` say where the servers are; `make test` starts
//! private ones and sets both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot be set up has failed")]

pub mod binaries;
pub mod link;
pub mod proxy;
pub mod seeds;

use std::sync::Arc;

use shop_common::config::{self, Settings};
use shop_common::events::Announcer;
use shop_common::id::{JobId, OrderId, ProductId, UserId};
use shop_common::jobs::queue::Queue;
use shop_common::money::{Currency, Money};
use shop_common::orders::decision::{Decision, NewOrder, Placed, Refusal};
use shop_common::orders::idempotency::Answer;
use shop_common::orders::place::Placement;
use shop_common::orders::status::OrderStatus;
use shop_common::orders::{Lines, Quantity};
use shop_common::payments::PaymentMethod;
use shop_common::products::{self, Description, NewProduct, Price, ProductName, Stock};
use shop_common::redis::Redis;
use shop_common::users::queries::NewUser;
use shop_common::users::{self, Role};
use shop_common::verify::{self, Ledger};
use sqlx::PgPool;
use uuid::Uuid;

/// A shop for one test.
pub struct Shop {
    /// Its database.
    pub pool: PgPool,
    /// Its corner of Redis.
    pub redis: Redis,
    /// Its schedule.
    pub queue: Queue,
    /// Its news.
    pub announcer: Announcer,
    /// Its settings: no waiting between tries, and keys in flight are not waited for.
    pub settings: Settings,
    /// Its door for orders.
    pub placement: Placement,
}

impl Shop {
    /// A shop in that database, which `#[sqlx::test]` has made.
    pub fn new(pool: PgPool) -> Self {
        let mut settings: Settings = settings_for(&pool).extract().unwrap();
        settings.jobs.base_ms = 0;
        settings.placement.key_wait_ms = 0;
        settings.gateway.latency_ms = 0;
        let redis = Redis::connect(&settings.databases.redis).unwrap();
        let (queue, announcer) = (Queue::new(redis.clone()), Announcer::new(redis.clone()));
        let currency = Currency::try_from("USD".to_owned()).unwrap();
        let placement =
            Placement::new(pool.clone(), queue.clone(), announcer.clone(), currency, &settings.placement, render);
        Self { pool, redis, queue, announcer, settings, placement }
    }

    /// A customer that nobody else is.
    pub async fn customer(&self) -> UserId {
        let user = NewUser {
            email: format!("{}@example.com", Uuid::now_v7()).parse().unwrap(),
            name: None,
            password_hash: "none".to_owned(),
            role: Role::Client,
        };
        users::queries::create(&self.pool, &user).await.unwrap().id
    }

    /// A product with that price and stock.
    pub async fn product(&self, price: &str, stock: i64) -> ProductId {
        let product = NewProduct {
            sku: None,
            name: ProductName::try_from("Mug".to_owned()).unwrap(),
            description: Description::default(),
            price: price.parse::<Price>().unwrap(),
            stock: Stock::try_from(stock).unwrap(),
        };
        products::queries::create(&self.pool, &product, None).await.unwrap().product.id
    }

    /// What is left of a product.
    pub async fn stock(&self, product: ProductId) -> i64 {
        products::queries::find(&self.pool, product).await.unwrap().unwrap().product.stock
    }

    /// Places an order that is accepted, and waits until its job is on the schedule.
    pub async fn order(&self, customer: UserId, lines: &[(ProductId, i64)], method: &str) -> OrderId {
        let order = order_id(&self.placement.place(order(customer, lines, method)).await.unwrap());
        let job = self.job_of(order).await;
        while self.queue.place_of(job, None).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        order
    }

    /// The job of an order, the newest one.
    pub async fn job_of(&self, order: OrderId) -> JobId {
        sqlx::query_scalar("SELECT id FROM jobs WHERE order_id = $1 ORDER BY id DESC LIMIT 1")
            .bind(order)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// How far an order is.
    pub async fn status(&self, order: OrderId) -> OrderStatus {
        sqlx::query_scalar("SELECT status FROM orders WHERE id = $1").bind(order).fetch_one(&self.pool).await.unwrap()
    }

    /// How many charges the gateway has captured for an order.
    pub async fn captures(&self, order: OrderId) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM simulated_gateway.charges c JOIN payments p ON p.id::text = c.payment
             WHERE p.order_id = $1 AND c.state = 'captured'",
        )
        .bind(order)
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// Asserts that all invariants hold.
    pub async fn assert_sound(&self) {
        for finding in verify::verify(&self.pool, Ledger::of(&self.settings.gateway)).await.unwrap() {
            assert!(
                finding.violations.is_empty(),
                "{} {}: {:#?}",
                finding.invariant,
                finding.meaning,
                finding.violations
            );
        }
    }
}

/// An order of those lines.
pub fn order(customer: UserId, lines: &[(ProductId, i64)], method: &str) -> NewOrder {
    let lines = lines.iter().map(|(product, pieces)| (*product, Quantity::try_from(*pieces).unwrap()));
    NewOrder {
        customer,
        lines: Lines::new(lines).unwrap(),
        payment_method: PaymentMethod::try_from(method.to_owned()).unwrap(),
        key: None,
        request_id: None,
        trace: None,
    }
}

/// The status of the answers that [`Shop`] gives to accepted orders; refused ones get another.
pub const ACCEPTED: i16 = 1;

/// The accepted order of an answer.
pub fn order_id(placed: &Placed) -> OrderId {
    assert_eq!(placed.answer.status, ACCEPTED, "refused: {}", body(placed));
    body(placed).parse().unwrap()
}

/// The body of an answer.
pub fn body(placed: &Placed) -> String {
    String::from_utf8(placed.answer.body.to_vec()).unwrap()
}

/// An amount.
pub fn money(text: &str) -> Money {
    text.parse().unwrap()
}

fn render(decision: &Decision) -> Answer {
    let (status, body) = match decision {
        Decision::Placed(order) => (ACCEPTED, order.id.to_string()),
        Decision::Refused(Refusal::InsufficientStock { available, .. }) => (2, format!("only {available} left")),
        Decision::Refused(refusal) => (2, format!("{refusal:?}")),
    };
    Answer { status, body: Arc::from(body.into_bytes()) }
}

/// The settings of development, on that database and under a Redis prefix of its own.
pub fn settings_for(pool: &PgPool) -> figment::Figment {
    use figment::providers::Serialized;
    config::figment()
        .unwrap()
        .merge(Serialized::global("databases.pg.url", url_of(pool)))
        .merge(Serialized::global("databases.redis.prefix", format!("test-{}", Uuid::now_v7())))
}

/// The URL of the database behind a pool: the server of `DATABASE_URL`, the database of the test.
pub fn url_of(pool: &PgPool) -> String {
    let server = std::env::var("DATABASE_URL").expect("DATABASE_URL is set by `make test`");
    let options = pool.connect_options();
    let database = options.get_database().unwrap();
    let (start, _) = server.rsplit_once('/').unwrap();
    format!("{start}/{database}")
}
