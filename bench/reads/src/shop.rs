//! The api that is measured, on a catalogue of its own, with everything on that a shop in production has on.

use shop_bench_kit::database::{command, with_database};
use shop_bench_kit::server::Server;
use shop_common::db::MIGRATOR;
use sqlx::postgres::PgPoolOptions;
use tokio::process::Command;
use uuid::Uuid;

use crate::args::MeasureArgs;

/// A thousand products.
const FILL: &str = "INSERT INTO products (id, name, description, price_minor, stock)
    SELECT gen_random_uuid(), 'Mug number ' || n, 'Enamel, white, with a blue rim.', 1250, 100
    FROM generate_series(1, 1000) AS n";
/// Nobody is refused, and everybody is counted.
const LIMITS: &str = "{reads={per_minute=600000000,burst=600000000}}";

/// A database that only this run has.
pub(crate) struct Books {
    server: String,
    name: String,
    url: String,
    /// A product to ask for.
    pub(crate) product: Uuid,
}

impl Books {
    /// Makes it, and fills it.
    pub(crate) async fn open(server: &str) -> anyhow::Result<Self> {
        let name = format!("reads_{}", Uuid::now_v7().simple());
        let url = with_database(server, &name)?;
        command(server, format!("CREATE DATABASE {name}")).await?;
        let mut books = Self { server: server.to_owned(), name, url, product: Uuid::nil() };
        match books.fill().await {
            Ok(product) => {
                books.product = product;
                Ok(books)
            }
            Err(error) => {
                books.close().await?;
                Err(error)
            }
        }
    }

    async fn fill(&self) -> anyhow::Result<Uuid> {
        let pool = PgPoolOptions::new().max_connections(1).connect(&self.url).await?;
        MIGRATOR.run(&pool).await?;
        sqlx::raw_sql(FILL).execute(&pool).await?;
        let product = sqlx::query_scalar("SELECT id FROM products LIMIT 1").fetch_one(&pool).await?;
        pool.close().await;
        Ok(product)
    }

    /// Starts the api on it.
    pub(crate) async fn api(&self, args: &MeasureArgs) -> anyhow::Result<Server> {
        let program = args.programs.join("shop-api");
        anyhow::ensure!(program.is_file(), "{} is not there: cargo build --release -p shop-api", program.display());
        let mut command = Command::new(program);
        command
            .env("DATABASE_URL", &self.url)
            .env("REDIS_URL", &args.redis_url)
            .env("ROCKET_DATABASES", format!("{{redis={{prefix=\"{}\"}}}}", self.name))
            .env("ROCKET_PROFILE", "production")
            .env("ROCKET_PORT", "0")
            .env("ROCKET_RATE_LIMITS", LIMITS)
            .env("JWT_SECRET", "0f9d2c7be8a1456394d7c0ab12ef5678");
        Server::start(command, "shop-api listens").await
    }

    /// Deletes it.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        command(&self.server, format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
    }
}
