//! The database of one run: fresh, with an order for each socket's user, and gone afterwards.

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use shop_bench_kit::database::{command, with_database};
use shop_common::db::MIGRATOR;
use shop_common::id::{OrderId, ProductId, UserId};
use shop_common::orders::queries;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

/// Connections of this program; the feed needs one.
const CONNECTIONS: u32 = 4;

/// A customer with one order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Customer {
    pub(crate) user: UserId,
    pub(crate) order: OrderId,
}

/// A database of its own.
pub(crate) struct Books {
    pub(crate) pool: PgPool,
    pub(crate) url: String,
    pub(crate) customers: Vec<Customer>,
    server: String,
    name: String,
}

impl Books {
    /// Makes a database on that server, with so many customers.
    pub(crate) async fn open(server: &str, customers: usize) -> anyhow::Result<Self> {
        let name = format!("live_{}", Uuid::now_v7().simple());
        let url = with_database(server, &name)?;
        command(server, format!("CREATE DATABASE {name}")).await?;
        let pool =
            PgPoolOptions::new().max_connections(CONNECTIONS).connect(&url).await.context("opening the books")?;
        let new = || Customer { user: UserId::new(), order: OrderId::new() };
        let books = Self {
            pool,
            url,
            customers: std::iter::repeat_with(new).take(customers).collect(),
            server: server.to_owned(),
            name,
        };
        match books.fill().await {
            Ok(()) => Ok(books),
            Err(error) => {
                books.close().await?;
                Err(error.context("filling the books"))
            }
        }
    }

    async fn fill(&self) -> anyhow::Result<()> {
        MIGRATOR.run(&self.pool).await?;
        let users: Vec<UserId> = self.customers.iter().map(|customer| customer.user).collect();
        let orders: Vec<OrderId> = self.customers.iter().map(|customer| customer.order).collect();
        let (mug, towel) = (ProductId::new(), ProductId::new());
        let mut transaction = self.pool.begin().await?;
        sqlx::query(
            "INSERT INTO users (id, email, name, password_hash)
             SELECT id, concat(id, '@live.example'), concat('Customer ', n), 'none'
             FROM unnest($1::uuid[]) WITH ORDINALITY AS t (id, n)",
        )
        .bind(&users)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "INSERT INTO products (id, name, description, price_minor, stock)
             VALUES ($1, 'Enamel mug', 'White, with a blue rim. 350 ml.', 1250, 1000000),
                    ($2, 'Tea towel', 'Linen and cotton, striped.', 890, 1000000)",
        )
        .bind(mug)
        .bind(towel)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "INSERT INTO orders (id, user_id, status, total_minor, currency, payment_method)
             SELECT id, user_id, 'PROCESSING', 2 * 1250 + 890, 'USD', 'pm_sim_success'
             FROM unnest($1::uuid[], $2::uuid[]) AS t (id, user_id)",
        )
        .bind(&orders)
        .bind(&users)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "INSERT INTO order_items (order_id, line, id, product_id, quantity, price_minor)
             SELECT o.id, i.line, gen_random_uuid(), i.product_id, i.quantity, i.price_minor
             FROM unnest($1::uuid[]) AS o (id)
             CROSS JOIN (VALUES (0, $2::uuid, 2, 1250), (1, $3::uuid, 1, 890))
                        AS i (line, product_id, quantity, price_minor)",
        )
        .bind(&orders)
        .bind(mug)
        .bind(towel)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        sqlx::raw_sql("ANALYZE").execute(&self.pool).await?;
        Ok(())
    }

    /// What the shop's Socket.IO says of each customer's order, as JSON: the rival is given it to say the same.
    pub(crate) async fn payloads(&self) -> anyhow::Result<Vec<String>> {
        stream::iter(&self.customers).map(|customer| self.payload(*customer)).buffered(4).try_collect().await
    }

    async fn payload(&self, customer: Customer) -> anyhow::Result<String> {
        let order = queries::find(&self.pool, customer.user, customer.order).await?.context("an order is not there")?;
        let mut data = json!(order);
        if let Value::Object(data) = &mut data {
            data.insert("createdBy".to_owned(), json!(customer.user));
        }
        Ok(data.to_string())
    }

    /// Drops the database.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.pool.close().await;
        command(&self.server, format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
    }
}
