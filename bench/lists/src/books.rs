//! The database of one shop: fresh, filled, and gone afterwards.

use std::num::NonZeroU32;
use std::time::Instant;

use anyhow::Context;
use shop_bench_kit::database::{command, with_database};
use shop_common::db::MIGRATOR;
use shop_common::id::UserId;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

/// What the shops are filled with, by statement.
const FILL: &str = include_str!("fill.sql");
/// A customer besides the one with half of the orders has so many in the large shop.
const ORDERS_OF_OTHERS: u32 = 500;

/// A shop in a database of its own.
pub(crate) struct Books {
    /// As the shop's programs would have it.
    pub(crate) pool: PgPool,
    /// A connection on which PostgreSQL tells its plans.
    pub(crate) telling: PgPool,
    /// How many products there are.
    pub(crate) products: u32,
    /// How many orders there are.
    pub(crate) orders: u32,
    server: String,
    name: String,
}

impl Books {
    /// Makes and fills a shop.
    pub(crate) async fn open(server: &str, products: NonZeroU32, orders: NonZeroU32) -> anyhow::Result<Self> {
        let name = format!("lists_{}", Uuid::now_v7().simple());
        let url = with_database(server, &name)?;
        command(server, format!("CREATE DATABASE {name}")).await?;
        let one = || PgPoolOptions::new().max_connections(1);
        let pool = one().connect(&url).await.context("opening the books")?;
        let telling = one().after_connect(|connection, _| {
            Box::pin(async move {
                let tell = "LOAD 'auto_explain'; SET auto_explain.log_level = notice; SET client_min_messages = notice;
                            SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on";
                sqlx::raw_sql(tell).execute(connection).await.map(|_| ())
            })
        });
        let telling = telling.connect_lazy(&url)?;
        let (products, orders) = (products.get(), orders.get());
        let books = Self { pool, telling, products, orders, server: server.to_owned(), name };
        match books.fill().await {
            Ok(()) => Ok(books),
            Err(error) => {
                books.close().await?;
                Err(error.context("filling the books"))
            }
        }
    }

    async fn fill(&self) -> anyhow::Result<()> {
        eprintln!("filling a shop with {} products and {} orders", self.products, self.orders);
        let begun = Instant::now();
        MIGRATOR.run(&self.pool).await?;
        let customers = (self.orders / ORDERS_OF_OTHERS / 2).max(10);
        let filled = FILL
            .replace("$PRODUCTS", &self.products.to_string())
            .replace("$ORDERS", &self.orders.to_string())
            .replace("$CUSTOMERS", &customers.to_string());
        // One by one: VACUUM does not run among others.
        for statement in filled.split(";\n").filter(|statement| !statement.trim().is_empty()) {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&self.pool).await.with_context(|| statement.to_owned())?;
        }
        eprintln!("  took {:.0} s", begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// The customer with half of all orders, and one with few.
    pub(crate) async fn customers(&self) -> anyhow::Result<(UserId, UserId)> {
        let first: Vec<UserId> =
            sqlx::query_scalar("SELECT id FROM users ORDER BY id LIMIT 2").fetch_all(&self.pool).await?;
        let [heavy, light] = first[..] else { anyhow::bail!("there are no customers") };
        Ok((heavy, light))
    }

    /// Drops the database.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.telling.close().await;
        self.pool.close().await;
        command(&self.server, format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
    }
}
