//! The shop that is measured: a database of its own, and its programs with all that a shop in production has on.

use std::path::Path;

use anyhow::Context;
use serde_json::json;
use shop_common::db::MIGRATOR;
use shop_common::id::{ProductId, UserId};
use shop_common::verify::{Ledger, verify};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::process::Command;
use uuid::Uuid;

use crate::database::{command, with_database};
use crate::options::Options;
use crate::server::Server;
use crate::signer::{SECRET, Signer, TOKEN_SECONDS};

/// A limit that nobody reaches, and that everybody is counted for.
pub const HIGH: &str = "{per_minute=600000000,burst=600000000}";

/// A database that only one run has, and where the programs are.
pub struct Shop {
    server: String,
    name: String,
    options: Options,
    /// Its URL.
    pub url: String,
    /// A few connections to it.
    pub pool: PgPool,
}

impl Shop {
    /// Makes it: migrated, and empty.
    ///
    /// # Errors
    /// When the database cannot be made.
    pub async fn open(options: &Options) -> anyhow::Result<Self> {
        let (server, name) = (options.database_url.clone(), format!("bench_{}", Uuid::now_v7().simple()));
        let url = with_database(&server, &name)?;
        command(&server, format!("CREATE DATABASE {name}")).await?;
        let pool = PgPoolOptions::new().max_connections(4).connect(&url).await.context("opening the books")?;
        let shop = Self { server, name, options: options.clone(), url, pool };
        match MIGRATOR.run(&shop.pool).await {
            Ok(()) => Ok(shop),
            Err(error) => {
                shop.close().await?;
                Err(error.into())
            }
        }
    }

    /// The prefix of its keys in Redis.
    pub fn prefix(&self) -> &str {
        &self.name
    }

    /// Runs SQL.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn run(&self, sql: &str) -> anyhow::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await?;
        Ok(())
    }

    /// Customers; their passwords are none.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn customers(&self, count: usize) -> anyhow::Result<Vec<UserId>> {
        let users: Vec<UserId> = std::iter::repeat_with(UserId::new).take(count).collect();
        sqlx::query(
            "INSERT INTO users (id, email, name, password_hash)
             SELECT id, concat(id, '@bench.example'), concat('Customer ', n), 'none'
             FROM unnest($1::uuid[]) WITH ORDINALITY AS t (id, n)",
        )
        .bind(&users)
        .execute(&self.pool)
        .await?;
        Ok(users)
    }

    /// Products, each with that stock.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn products(&self, count: usize, stock: i64) -> anyhow::Result<Vec<ProductId>> {
        let products: Vec<ProductId> = std::iter::repeat_with(ProductId::new).take(count).collect();
        sqlx::query(
            "WITH added AS (
                 INSERT INTO products (id, name, description, price_minor, stock)
                 SELECT id, 'Mug number ' || n, 'Enamel, white, with a blue rim.', 1250, $2
                 FROM unnest($1::uuid[]) WITH ORDINALITY AS t (id, n) RETURNING id
             )
             INSERT INTO stock_movements (id, product_id, delta, reason) SELECT gen_random_uuid(), id, $2, 'initial' FROM added",
        )
        .bind(&products)
        .bind(stock)
        .execute(&self.pool)
        .await?;
        Ok(products)
    }

    /// An order of one mug by each of these customers in turn, already paid: so many. A shop that has sold before is
    /// measured, because the plans that PostgreSQL keeps for empty tables are others.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn sold(&self, count: usize, customers: &[UserId], products: &[ProductId]) -> anyhow::Result<()> {
        sqlx::query(SOLD).bind(i64::try_from(count)?).bind(customers).bind(products).execute(&self.pool).await?;
        self.run("VACUUM ANALYZE").await
    }

    /// What signs tokens as its apis do.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn signer(&self) -> anyhow::Result<Signer> {
        Signer::of_shop(&self.pool).await
    }

    /// One of its programs, to be started with these settings besides.
    ///
    /// # Errors
    /// When the program is not there.
    pub fn program(&self, program: &Path, settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(program);
        command
            .env("DATABASE_URL", &self.url)
            .env("REDIS_URL", &self.options.redis_url)
            .env("ROCKET_DATABASES", format!("{{redis={{prefix=\"{}\"}}}}", self.name))
            .env("ROCKET_PROFILE", "production")
            .env("ROCKET_PORT", "0")
            .env("ROCKET_RATE_LIMITS", format!("{{reads={HIGH},writes={HIGH}}}"))
            .env("ROCKET_AUTH", format!("{{token_seconds={TOKEN_SECONDS}}}"))
            .env("JWT_SECRET", SECRET)
            .envs(settings.iter().copied());
        command
    }

    /// Starts an api on it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn api(&self, settings: &[(&str, &str)]) -> anyhow::Result<Server> {
        Server::start(self.program(&self.options.program("shop-api")?, settings), "shop-api listens").await
    }

    /// Starts a worker on it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn worker(&self, settings: &[(&str, &str)]) -> anyhow::Result<Server> {
        Server::start(self.program(&self.options.program("shop-worker")?, settings), "shop-worker claims").await
    }

    /// Checks all invariants: a fast wrong number is worth nothing.
    ///
    /// # Errors
    /// When one of them is broken.
    pub async fn verify(&self, books: Ledger) -> anyhow::Result<()> {
        let findings = verify(&self.pool, books).await?;
        let broken: Vec<_> = findings.iter().filter(|finding| !finding.violations.is_empty()).collect();
        anyhow::ensure!(broken.is_empty(), "the numbers are wrong: {}", json!(broken));
        Ok(())
    }

    /// Deletes it.
    ///
    /// # Errors
    /// When the database cannot be dropped.
    pub async fn close(self) -> anyhow::Result<()> {
        self.pool.close().await;
        command(&self.server, format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
    }
}

/// Orders as they are when all is over.
const SOLD: &str = "
    WITH new AS (
        SELECT n, gen_random_uuid() AS id, gen_random_uuid() AS payment,
               ($2::uuid[])[1 + n % cardinality($2)] AS customer, ($3::uuid[])[1 + n % cardinality($3)] AS product
        FROM generate_series(1, $1) AS n
    ), sold AS (
        UPDATE products p SET stock = p.stock - t.sold FROM (SELECT product, count(*) AS sold FROM new GROUP BY product) t
        WHERE p.id = t.product
    ), orders AS (
        INSERT INTO orders (id, user_id, status, total_minor, currency, payment_method)
        SELECT id, customer, 'COMPLETED', 1250, 'USD', 'pm_sim_success' FROM new
    ), items AS (
        INSERT INTO order_items (order_id, product_id, id, line, quantity, price_minor)
        SELECT id, product, gen_random_uuid(), 0, 1, 1250 FROM new
    ), payments AS (
        INSERT INTO payments (id, order_id, amount_minor, currency, method, status, reference)
        SELECT payment, id, 1250, 'USD', 'pm_sim_success', 'COMPLETED', 'old' FROM new
    ), attempts AS (
        INSERT INTO payment_attempts (payment_id, claim, charge_key, outcome) SELECT payment, 1, payment || ':1', 'approved' FROM new
    ), jobs AS (
        INSERT INTO jobs (id, kind, version, payload, order_id, state, attempts, claims)
        SELECT gen_random_uuid(), 'charge_payment', 1, jsonb_build_object('paymentId', payment), id, 'completed', 1, 1 FROM new
    ), charges AS (
        INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, calls, state)
        SELECT payment || ':1', payment, 1250, 'USD', 'pm_sim_success', 1, 'captured' FROM new
    ), numbered AS (
        SELECT customer, id, row_number() OVER (PARTITION BY customer ORDER BY n) AS seq FROM new
    ), streams AS (
        INSERT INTO event_streams (user_id, last_seq) SELECT customer, max(seq) FROM numbered GROUP BY customer
    )
    INSERT INTO events (user_id, seq, order_id, kind, data)
    SELECT customer, seq, id, 'order.status', '{\"status\": \"COMPLETED\"}' FROM numbered";
