//! What a worker does besides its jobs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use shop_common::db::MIGRATOR;
use shop_testkit::{Shop, order};
use shop_worker::payments::simulated::SimulatedGateway;
use shop_worker::runner::{Pools, Runner};
use shop_worker::upkeep::Upkeep;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

#[sqlx::test(migrator = "MIGRATOR")]
async fn idempotency_keys_are_forgotten_after_a_day(pool: PgPool) {
    let shop = Shop::new(pool);
    let customer = shop.customer().await;
    let mug = shop.product("1", 9).await;
    for key in ["old", "young"] {
        let mut wanted = order(customer, &[(mug, 1)], "test");
        wanted.key = Some(key.parse().unwrap());
        shop.placement.place(wanted).await.unwrap();
    }
    let age = "UPDATE idempotency_keys
               SET created_at = now() - make_interval(hours => CASE key WHEN 'old' THEN 25 ELSE 23 END)";
    sqlx::query(age).execute(&shop.pool).await.unwrap();
    let gateway = Arc::new(SimulatedGateway::new(shop.pool.clone(), shop.settings.gateway.clone()));
    let runner = Arc::new(Runner::new(Pools::same(&shop.pool), shop.redis.clone(), gateway, &shop.settings));

    Upkeep::new(runner, shop.redis.clone(), &shop.settings.live, CancellationToken::new()).forget().await.unwrap();

    let left: Vec<String> = sqlx::query_scalar("SELECT key FROM idempotency_keys").fetch_all(&shop.pool).await.unwrap();
    assert_eq!(left, ["young"]);
}
