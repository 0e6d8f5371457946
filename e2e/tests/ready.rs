//! `/readyz` of both daemons: whether work should come, and what is missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::json;
use shop_common::db::MIGRATOR;
use shop_e2e::scrape::Scrape;
use shop_e2e::{Caller, eventually, mug};
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

#[sqlx::test(migrator = "MIGRATOR")]
async fn daemons_before_an_older_schema_name_the_migrations_that_it_lacks(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, (_worker, worker)) = (shop.api(), shop.worker_with_health());
    eventually("the worker is ready", async || Caller::nobody(&worker).get("/readyz").await.status == 200).await;
    let newest: i64 = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&pool).await.unwrap();

    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = $1").bind(newest).execute(&pool).await.unwrap();

    for url in [&api.url, &worker] {
        let ready = Caller::nobody(url).get("/readyz").await;
        assert_eq!((ready.status, &ready.json["status"]), (503, &json!("unavailable")), "{}", ready.text);
        assert_eq!(ready.json["postgres"], json!({ "status": "ok" }));
        let reason = format!("migration {newest:04} is missing: run `shopctl migrate run`");
        assert_eq!(ready.json["schema"], json!({ "status": "failing", "reason": reason }));
        eventually("Prometheus hears of it", async || Scrape::of(url).await.sum("shop_ready", &[]) == 0.0).await;
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_worker_says_how_old_its_heartbeat_is_and_is_not_ready_before_the_first(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (_worker, there) = shop.worker_with_health();
    eventually("it is ready", async || {
        let ready = Caller::nobody(&there).get("/readyz").await;
        let age = ready.json["heartbeat"]["ageSeconds"].as_f64();
        ready.status == 200 && ready.json["heartbeat"]["status"] == "ok" && age.is_some_and(|age| age < 15.0)
    })
    .await;

    // Port 9 is nobody's: PostgreSQL is away from the start.
    let (_worker, nowhere) = shop.with("DATABASE_URL", "postgres://shop@127.0.0.1:9/shop").worker_with_health();
    let ready = Caller::nobody(&nowhere).get("/readyz").await;
    assert_eq!((ready.status, &ready.json["heartbeat"]["status"]), (503, &json!("failing")), "{}", ready.text);
    assert_eq!(ready.json["heartbeat"].get("ageSeconds"), None);
    assert!(ready.json["postgres"]["reason"].is_string());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_worker_that_drains_is_not_ready_and_ends_what_it_has_in_hand(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, (worker, url)) = (shop.api(), shop.worker_with_health());
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let placed = ada.order(&mug, 1, "pm_sim_slow_2000").await;
    let id = placed.json["id"].as_str().unwrap();
    ada.order_becomes(id, "PROCESSING").await;
    assert_eq!(Scrape::of(&url).await.sum("shop_worker_jobs_in_hand", &[]), 1.0);

    let ending = tokio::task::spawn_blocking(move || worker.terminate());

    eventually("it drains", async || {
        let ready = Caller::nobody(&url).get("/readyz").await;
        (ready.status, &ready.json["status"]) == (503, &json!("draining"))
            && ready.json["process"]["reason"] == "it is going down"
    })
    .await;
    assert_eq!(ending.await.unwrap(), Some(0));
    ada.order_becomes(id, "COMPLETED").await;
}
