//! PostgreSQL and Redis as Rocket's database guards.
//!
//! The features of `rocket_db_pools` pin older drivers, so its `Pool` is implemented
//! here around the ones of `shop_common`. Closing is left to [`crate::run`]:
//! Rocket closes pools at the signal, when requests are still being answered.

use rocket::figment::Figment;
use rocket_db_pools::{Database, Pool};
use shop_common::config;
use shop_common::redis::Redis;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

/// PostgreSQL, as `databases.pg` of the settings says.
#[derive(Database)]
#[database("pg")]
pub(crate) struct Db(PostgresPool);

impl Db {
    pub(crate) fn pool(&self) -> &PgPool {
        &self.0.0
    }
}

/// Redis, as `databases.redis` of the settings says.
#[derive(Database)]
#[database("redis")]
pub(crate) struct RedisDb(RedisHandle);

impl RedisDb {
    pub(crate) fn redis(&self) -> &Redis {
        &self.0.0
    }
}

pub(crate) struct PostgresPool(PgPool);

/// Why PostgreSQL cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostgresError {
    #[error("settings: {0}")]
    Settings(Box<rocket::figment::Error>),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

#[rocket::async_trait]
impl Pool for PostgresPool {
    type Connection = PoolConnection<Postgres>;
    type Error = PostgresError;

    async fn init(figment: &Figment) -> Result<Self, Self::Error> {
        let settings: config::Postgres = figment.extract().map_err(|error| PostgresError::Settings(Box::new(error)))?;
        Ok(Self(shop_common::db::pool(&settings)?))
    }

    async fn get(&self) -> Result<Self::Connection, Self::Error> {
        Ok(self.0.acquire().await?)
    }

    async fn close(&self) {}
}

pub(crate) struct RedisHandle(Redis);

/// Why Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RedisError {
    #[error("settings: {0}")]
    Settings(Box<rocket::figment::Error>),
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
}

#[rocket::async_trait]
impl Pool for RedisHandle {
    type Connection = shop_common::redis::Connection;
    type Error = RedisError;

    async fn init(figment: &Figment) -> Result<Self, Self::Error> {
        let settings: config::Redis = figment.extract().map_err(|error| RedisError::Settings(Box::new(error)))?;
        Ok(Self(Redis::connect(&settings)?))
    }

    async fn get(&self) -> Result<Self::Connection, Self::Error> {
        Ok(self.0.connection())
    }

    async fn close(&self) {}
}
