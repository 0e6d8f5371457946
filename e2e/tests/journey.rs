//! One order's whole life, over HTTP, with the real api and the real worker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use futures::future::join_all;
use serde_json::json;
use shop_common::db::MIGRATOR;
use shop_common::seed;
use shop_common::verify::{self, Ledger};
use shop_e2e::{Caller, eventually, order, read};
use shop_testkit::binaries::Environment;
use shop_testkit::url_of;
use sqlx::PgPool;

/// Quick tries, so that a test with retries is quick too.
fn environment(pool: &PgPool) -> Environment {
    Environment::new(pool).with("ROCKET_JOBS", "{base_ms=20}")
}

async fn product(admin: &Caller, stock: i64) -> String {
    let body = json!({ "name": "Mug", "description": "Blue rim", "price": 12.5, "stock": stock });
    let answer = admin.post("/products", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json["id"].as_str().unwrap().to_owned()
}

async fn admin(pool: &PgPool, url: &str) -> Caller {
    seed::admin(pool, false).await.unwrap();
    Caller::login(url, seed::ADMIN_EMAIL, "password").await
}

async fn assert_sound(pool: &PgPool) {
    for finding in verify::verify(pool, Ledger::Here).await.unwrap() {
        assert!(finding.violations.is_empty(), "{}: {:#?}", finding.meaning, finding.violations);
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_newcomer_registers_orders_and_sees_the_order_completed_after_two_retries(pool: PgPool) {
    let shop = environment(&pool);
    let (api, _worker) = (shop.api(), shop.worker());
    let admin = admin(&pool, &api.url).await;
    let mug = product(&admin, 5).await;
    let ada = Caller::customer(&api.url, "ada").await;

    let placed = ada.order(&mug, 2, "pm_sim_flaky_2").await;

    assert_eq!(placed.status, 201, "{}", placed.text);
    assert_eq!(placed.json["status"], "PENDING");
    assert_eq!(placed.json["total"], 25);
    assert_eq!(placed.json["currency"], "USD");
    assert_eq!(placed.json["paymentMethod"], "pm_sim_flaky_2");
    assert_eq!(placed.json["orderItems"][0]["quantity"], 2);
    assert_eq!(placed.json["orderItems"][0]["price"], 12.5);
    assert_eq!(placed.json["orderItems"][0]["product"]["id"], mug.as_str());
    let id = placed.json["id"].as_str().unwrap();
    ada.order_becomes(id, "PROCESSING").await;
    ada.order_becomes(id, "COMPLETED").await;
    let outcomes: Vec<String> =
        sqlx::query_scalar("SELECT outcome FROM payment_attempts ORDER BY claim").fetch_all(&pool).await.unwrap();
    assert_eq!(outcomes, ["transient", "transient", "approved"]);
    assert_eq!(ada.get(&format!("/products/{mug}")).await.json["stock"], 3);
    assert_sound(&pool).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_declined_order_fails_and_its_stock_is_back(pool: PgPool) {
    let shop = environment(&pool);
    let (api, _worker) = (shop.api(), shop.worker());
    let mug = product(&admin(&pool, &api.url).await, 5).await;
    let ada = Caller::customer(&api.url, "ada").await;

    let placed = ada.order(&mug, 2, "pm_sim_decline_card_declined").await;

    ada.order_becomes(placed.json["id"].as_str().unwrap(), "FAILED").await;
    assert_eq!(ada.get(&format!("/products/{mug}")).await.json["stock"], 5);
    assert_sound(&pool).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn five_hundred_concurrent_buyers_of_a_hundred_units_leave_a_hundred_orders(pool: PgPool) {
    let shop = environment(&pool);
    let (api, other_api, _workers) = (shop.api(), shop.api(), [shop.worker(), shop.worker()]);
    let mug = product(&admin(&pool, &api.url).await, 100).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let buyers = [ada.at(&api.url), ada.at(&other_api.url)];

    let answers = join_all((0..500).map(|n| buyers[n % 2].order(&mug, 1, "pm_sim_success"))).await;

    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(201), count(422)), (100, 400));
    let refused = answers.iter().find(|answer| answer.status == 422).unwrap();
    assert_eq!(refused.json["code"], "insufficient_stock");
    assert_eq!(refused.json["productId"], mug.as_str());
    eventually("every order is paid", async || {
        let paid: i64 = sqlx::query_scalar("SELECT count(*) FROM orders WHERE status = 'COMPLETED'")
            .fetch_one(&pool)
            .await
            .unwrap();
        paid == 100
    })
    .await;
    assert_eq!(ada.get(&format!("/products/{mug}")).await.json["stock"], 0);
    assert_sound(&pool).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn fifty_parallel_requests_with_one_key_over_two_apis_make_one_order(pool: PgPool) {
    let shop = environment(&pool);
    let (api, other_api) = (shop.api(), shop.api());
    let mug = product(&admin(&pool, &api.url).await, 100).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let callers = [ada.at(&api.url), ada.at(&other_api.url)];
    let send = async |caller: &Caller, quantity| {
        let request = caller.request(reqwest::Method::POST, "/orders").header("Idempotency-Key", "\"cart-7\"");
        read(request.json(&order(&mug, quantity, "test")).send().await.unwrap()).await
    };

    let answers = join_all((0..50).map(|n| send(&callers[n % 2], 1))).await;

    assert!(answers.iter().all(|answer| answer.status == 201 && answer.text == answers[0].text));
    let fresh = answers.iter().filter(|answer| answer.header("Idempotency-Replayed").is_none()).count();
    assert_eq!(fresh, 1);
    let reused = send(&ada, 2).await;
    assert_eq!((reused.status, reused.json["code"].as_str()), (422, Some("idempotency_key_reused")));
    assert_eq!(ada.get("/orders").await.json["totalCount"], 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_killed_workers_order_is_taken_up_by_another_and_charged_once(pool: PgPool) {
    let shop = environment(&pool).with("ROCKET_WORKER", "{lease_ms=500}");
    let (api, first) = (shop.api(), shop.worker());
    let mug = product(&admin(&pool, &api.url).await, 5).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let placed = ada.order(&mug, 1, "pm_sim_slow_1000").await;
    let id = placed.json["id"].as_str().unwrap();
    ada.order_becomes(id, "PROCESSING").await;

    first.kill();
    let _second = shop.worker();

    ada.order_becomes(id, "COMPLETED").await;
    let attempts: i32 = sqlx::query_scalar("SELECT attempts FROM jobs").fetch_one(&pool).await.unwrap();
    assert_eq!(attempts, 1, "a crash costs no attempt");
    assert_sound(&pool).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_worker_that_is_told_to_stop_finishes_what_it_has_in_hand(pool: PgPool) {
    let shop = environment(&pool);
    let (api, worker) = (shop.api(), shop.worker());
    let mug = product(&admin(&pool, &api.url).await, 5).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let placed = ada.order(&mug, 1, "pm_sim_slow_500").await;
    let id = placed.json["id"].as_str().unwrap();
    ada.order_becomes(id, "PROCESSING").await;

    assert_eq!(worker.terminate(), Some(0));

    assert_eq!(ada.get(&format!("/orders/{id}")).await.json["status"], "COMPLETED");
    let workers: i64 = sqlx::query_scalar("SELECT count(*) FROM workers").fetch_one(&pool).await.unwrap();
    assert_eq!(workers, 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_worker_whose_grace_is_over_releases_what_it_has_in_hand(pool: PgPool) {
    let shop = environment(&pool);
    let (api, worker) = (shop.api(), shop.with("ROCKET_WORKER", "{grace_ms=50}").worker());
    let mug = product(&admin(&pool, &api.url).await, 5).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let placed = ada.order(&mug, 1, "pm_sim_slow_20000").await;
    ada.order_becomes(placed.json["id"].as_str().unwrap(), "PROCESSING").await;

    assert_eq!(worker.terminate(), Some(0));

    let state: String = sqlx::query_scalar("SELECT state FROM jobs").fetch_one(&pool).await.unwrap();
    assert_eq!(state, "scheduled");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_api_that_is_told_to_stop_ends_cleanly(pool: PgPool) {
    let api = environment(&pool).api();
    assert_eq!(Caller::nobody(&api.url).get("/livez").await.status, 200);
    assert_eq!(api.process.terminate(), Some(0));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_programs_refuse_to_start_without_what_they_need_and_say_what(pool: PgPool) {
    let shop = environment(&pool);
    for (program, variable, value, says) in [
        ("shop-api", "JWT_SECRET", "", "JWT_SECRET is not set"),
        ("shop-api", "JWT_SECRET", "secretsecretsecretsecretsecretsecret", "JWT_SECRET is weak"),
        ("shop-worker", "DATABASE_URL", "", "DATABASE_URL is not set"),
        ("shop-worker", "SHOP_RATE_LIMITS", "maybe", "SHOP_RATE_LIMITS"),
    ] {
        let output = shop.clone().with(variable, value).command(program).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{program} {variable}");
        assert!(said.contains(says), "{program} {variable}: {said}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_production_api_refuses_the_admin_of_development(pool: PgPool) {
    seed::admin(&pool, false).await.unwrap();
    let output = environment(&pool).with("ROCKET_PROFILE", "production").command("shop-api").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("password of development"), "{}", url_of(&pool));
}
