//! The contract of the API, over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use reqwest::Method;
use serde_json::{Value, json};
use shop_common::db::MIGRATOR;
use shop_common::seed;
use shop_e2e::{Answer, Caller, PASSWORD, eventually, order, read};
use shop_testkit::binaries::{Api, Environment};
use sqlx::PgPool;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

async fn shop(pool: &PgPool) -> (Api, Caller, Caller) {
    let api = Environment::new(pool).api();
    seed::admin(pool, false).await.unwrap();
    let admin = Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await;
    let ada = Caller::customer(&api.url, "ada").await;
    (api, admin, ada)
}

fn assert_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.json["code"].as_str()), (status, Some(code)), "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json["status"], status);
    for member in ["type", "title", "detail", "requestId"] {
        assert!(answer.json[member].is_string(), "{member} is missing in {}", answer.text);
    }
    assert_eq!(answer.json["requestId"].as_str(), answer.header("x-request-id"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_request_above_the_limit_is_turned_away_at_once_and_health_still_answers(pool: PgPool) {
    let api = Environment::new(&pool).with("ROCKET_REQUESTS", "{in_flight=1}").api();
    let nobody = Caller::nobody(&api.url);
    let head = "POST /login HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n";

    // A slow request that comes while another is in flight is turned away itself: then the next one is tried.
    let slow = Mutex::new(Vec::new());
    eventually("the shop is busy", async || {
        let mut request = TcpStream::connect(api.url.trim_start_matches("http://")).await.unwrap();
        // Rocket has seen a request when it has seen the first bytes of its body.
        request.write_all(format!("{head}half of what was ").as_bytes()).await.unwrap();
        slow.lock().await.push(request);
        nobody.get("/products").await.status == 503
    })
    .await;
    let turned_away = nobody.get("/products").await;
    let health = nobody.get("/livez").await;
    // Their clients hang up, so what they wait for never comes.
    drop(slow);
    eventually("the shop answers again", async || nobody.get("/products").await.status == 200).await;

    assert_problem(&turned_away, 503, "overloaded");
    assert_eq!(turned_away.header("retry-after"), Some("1"));
    assert_eq!(health.status, 200);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_body_that_does_not_come_to_its_end_is_answered_in_time(pool: PgPool) {
    let api = Environment::new(&pool).with("ROCKET_REQUESTS", "{body_ms=100}").api();
    let mut slow = TcpStream::connect(api.url.trim_start_matches("http://")).await.unwrap();
    let head = "POST /login HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n";
    slow.write_all(format!("{head}half of what was ").as_bytes()).await.unwrap();

    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();

    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("content-type: application/problem+json"), "{answer}");
    assert!(answer.contains(r#""code":"request_timeout""#), "{answer}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn accounts_are_made_once_and_passwords_must_be_strong(pool: PgPool) {
    let (api, _, _) = shop(&pool).await;
    let nobody = Caller::nobody(&api.url);
    let account = |email: &str, password: &str| json!({ "email": email, "password": password });

    let as_reference = nobody.post("/auth/register", account("bob@example.com", PASSWORD)).await;
    assert_eq!(as_reference.status, 201);
    assert!(as_reference.json["access_token"].is_string());
    assert_eq!(nobody.post("/auth/login", account("BOB@example.com", PASSWORD)).await.status, 200);

    assert_problem(&nobody.post("/register", account("Bob@Example.com", PASSWORD)).await, 409, "email_taken");
    assert_problem(&nobody.post("/register", account("eve@example.com", "password")).await, 400, "invalid_body");
    assert_problem(&nobody.post("/register", account("not-an-email", PASSWORD)).await, 400, "invalid_body");
    let admin = json!({ "email": "eve@example.com", "password": PASSWORD, "role": "ADMIN" });
    assert_problem(&nobody.post("/register", admin).await, 400, "invalid_body");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_unknown_email_and_a_wrong_password_get_the_same_answer(pool: PgPool) {
    let (api, _, _) = shop(&pool).await;
    let nobody = Caller::nobody(&api.url);
    let mut answers = Vec::new();
    for email in ["ada@example.com", "nobody@example.com", "no email"] {
        let answer = nobody.post("/login", json!({ "email": email, "password": "Wr0ng-password" })).await;
        assert_problem(&answer, 401, "wrong_credentials");
        answers.push(answer.json["detail"].clone());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn products_are_kept_by_admins_and_read_by_everybody(pool: PgPool) {
    let (api, admin, ada) = shop(&pool).await;
    let nobody = Caller::nobody(&api.url);
    let mug = json!({ "name": "Mug", "price": 12.99, "stock": 3 });

    assert_problem(&nobody.post("/products", mug.clone()).await, 401, "token_missing");
    assert_problem(&ada.post("/products", mug.clone()).await, 403, "admin_only");
    let created = admin.post("/products", mug).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let path = format!("/products/{}", created.json["id"].as_str().unwrap());
    let mut fields: Vec<&str> = created.json.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["createdAt", "description", "id", "name", "price", "sku", "stock", "updatedAt"]);
    assert_eq!(nobody.get(&path).await.json, created.json);

    let changed = admin.put(&path, json!({ "price": 9.9, "stock": 10 })).await;
    assert_eq!(
        (&changed.json["name"], &changed.json["price"], &changed.json["stock"]),
        (&json!("Mug"), &json!(9.9), &json!(10))
    );
    let moved: i64 =
        sqlx::query_scalar("SELECT sum(delta)::bigint FROM stock_movements").fetch_one(&pool).await.unwrap();
    assert_eq!(moved, 10, "an absolute stock is recorded as a movement");

    assert_problem(&ada.delete(&path).await, 403, "admin_only");
    assert_eq!(admin.delete(&path).await.status, 204);
    assert_problem(&nobody.get(&path).await, 404, "not_found");
    assert_problem(&admin.put(&path, json!({ "stock": 1 })).await, 404, "not_found");
    assert_problem(&admin.delete(&path).await, 404, "not_found");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_sku_finds_its_product_is_given_once_and_can_be_given_up(pool: PgPool) {
    let (api, admin, _) = shop(&pool).await;
    let nobody = Caller::nobody(&api.url);
    let new = |sku: &str| json!({ "sku": sku, "name": "Mug", "price": 1, "stock": 1 });
    let path = |answer: &Answer| format!("/products/{}", answer.json["id"].as_str().unwrap());

    let mug = admin.post("/products", new("MUG, 350")).await;
    assert_eq!((mug.status, &mug.json["sku"]), (201, &json!("MUG, 350")));
    let plain = admin.post("/products", json!({ "name": "Bowl", "price": 1, "stock": 1 })).await;
    assert_eq!((plain.status, &plain.json["sku"]), (201, &Value::Null));
    assert_problem(&admin.post("/products", new("MUG, 350")).await, 409, "sku_taken");
    assert_problem(&admin.put(&path(&plain), json!({ "sku": "MUG, 350" })).await, 409, "sku_taken");
    assert_problem(&admin.post("/products", new(" MUG")).await, 400, "invalid_body");

    let found = nobody.get("/products?sku=MUG,%20350").await;
    assert_eq!((&found.json["totalCount"], &found.json["items"][0]["id"]), (&json!(1), &mug.json["id"]));
    assert_eq!(nobody.get("/products?sku=mug").await.json["totalCount"], 0);
    assert_problem(&nobody.get("/products?sku=").await, 400, "invalid_parameter");

    assert_eq!(admin.put(&path(&mug), json!({ "price": 2 })).await.json["sku"], "MUG, 350");
    assert_eq!(admin.put(&path(&mug), json!({ "sku": null })).await.json["sku"], Value::Null);
    assert_eq!(admin.put(&path(&plain), json!({ "sku": "MUG, 350" })).await.json["sku"], "MUG, 350");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn bad_products_are_refused_with_the_reason(pool: PgPool) {
    let (_api, admin, _) = shop(&pool).await;
    for (bad, says) in [
        (json!({ "name": "Mug", "price": 1.999, "stock": 1 }), "at most two decimals"),
        (json!({ "name": "Mug", "price": "1.99", "stock": 1 }), "must be a number"),
        (json!({ "name": "Mug", "price": -1, "stock": 1 }), "between"),
        (json!({ "name": "Mug", "price": 1, "stock": -1 }), "stock must be"),
        (json!({ "name": "Mug", "price": 1, "stock": 1.5 }), "floating point"),
        (json!({ "name": " ", "price": 1, "stock": 1 }), "name must have"),
        (json!({ "name": "Mug", "price": 1 }), "missing field `stock`"),
        (json!({ "name": "Mug", "price": 1, "stock": 1, "id": "mine" }), "unknown field `id`"),
    ] {
        let answer = admin.post("/products", bad).await;
        assert_problem(&answer, 400, "invalid_body");
        assert!(answer.json["detail"].as_str().unwrap().contains(says), "{}", answer.text);
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_catalogue_comes_in_pages(pool: PgPool) {
    let (api, admin, _) = shop(&pool).await;
    for n in 1..=12 {
        let product = json!({ "name": format!("Mug {n:02}"), "price": 100 - n, "stock": n });
        assert_eq!(admin.post("/products", product).await.status, 201);
    }
    let nobody = Caller::nobody(&api.url);
    let names = |answer: &Answer| -> Vec<String> {
        answer.json["items"]
            .as_array()
            .expect(&answer.text)
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };

    let first = nobody.get("/products").await;
    assert_eq!(names(&first).len(), 10);
    assert_eq!((&first.json["hasNextPage"], &first.json["totalCount"]), (&json!(true), &json!(12)));
    let last = nobody.get("/products?skip=10&take=10").await;
    assert_eq!(names(&last), ["Mug 11", "Mug 12"]);
    assert_eq!(last.json["hasNextPage"], false);
    let cheapest = nobody.get("/products?orderBy=price&order=asc&take=2").await;
    assert_eq!(names(&cheapest), ["Mug 12", "Mug 11"]);
    for column in ["id", "name", "price", "stock", "createdAt", "updatedAt"] {
        assert_eq!(nobody.get(&format!("/products?orderBy={column}&order=desc")).await.status, 200, "{column}");
    }
    for query in ["take=101", "take=0", "skip=-1", "skip=x", "orderBy=password", "order=up"] {
        assert_problem(&nobody.get(&format!("/products?{query}")).await, 400, "invalid_parameter");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn bad_orders_are_refused_with_the_reason(pool: PgPool) {
    let (_api, admin, ada) = shop(&pool).await;
    let mug = admin.post("/products", json!({ "name": "Mug", "price": 1, "stock": 3 })).await.json["id"].clone();
    let item = |id: &Value, quantity: Value| json!({ "items": [{ "productId": id, "quantity": quantity }] });
    let unknown = json!("01890000-0000-7000-8000-000000000000");

    for (body, status, code) in [
        (item(&mug, json!(4)), 422, "insufficient_stock"),
        (item(&unknown, json!(1)), 422, "unknown_product"),
        (item(&json!("mug"), json!(1)), 400, "invalid_body"),
        (item(&mug, json!(0)), 400, "invalid_quantity"),
        (item(&mug, json!(-1)), 400, "invalid_quantity"),
        (item(&mug, json!(1.5)), 400, "invalid_quantity"),
        (item(&mug, json!("1")), 400, "invalid_quantity"),
        (json!({ "items": [] }), 400, "invalid_body"),
        (json!({}), 400, "invalid_body"),
        (json!([]), 400, "invalid_body"),
        (json!([[{ "productId": mug, "quantity": 1 }], "test"]), 400, "invalid_body"),
        (json!({ "items": [[mug, 1]] }), 400, "invalid_body"),
        (json!({ "items": [{ "productId": mug, "quantity": 1, "price": 0.01 }] }), 400, "invalid_body"),
        (json!({ "items": [{ "productId": mug, "quantity": 1 }], "total": 0 }), 400, "invalid_body"),
        (json!({ "items": [{ "productId": mug, "quantity": 1 }], "paymentMethod": "a b" }), 400, "invalid_body"),
    ] {
        let answer = ada.post("/orders", body).await;
        assert_eq!((answer.status, answer.json["code"].as_str()), (status, Some(code)), "{}", answer.text);
    }
    let key = |key: &str| ada.request(Method::POST, "/orders").header("Idempotency-Key", key.to_owned());
    let good = order(mug.as_str().unwrap(), 1, "test");
    assert_problem(&read(key("\"\"").json(&good).send().await.unwrap()).await, 400, "invalid_parameter");
    assert_problem(&read(key(&"x".repeat(256)).json(&good).send().await.unwrap()).await, 400, "invalid_parameter");
    let lines = json!({ "items": [{ "productId": mug, "quantity": 1 }, { "productId": mug, "quantity": 2 }] });
    let placed = ada.post("/orders", lines).await;
    assert_eq!(placed.json["orderItems"].as_array().unwrap().len(), 1);
    assert_eq!(placed.json["orderItems"][0]["quantity"], 3);
    assert_eq!(placed.json["paymentMethod"], "test");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refusal_is_kept_under_its_key_byte_for_byte(pool: PgPool) {
    let (_api, admin, ada) = shop(&pool).await;
    let mug = admin.post("/products", json!({ "name": "Mug", "price": 1, "stock": 0 })).await.json["id"].clone();
    let mug = mug.as_str().unwrap();
    let send = async || {
        let request = ada.request(Method::POST, "/orders").header("Idempotency-Key", "cart-7");
        read(request.json(&order(mug, 1, "test")).send().await.unwrap()).await
    };

    let first = send().await;
    admin.put(&format!("/products/{mug}"), json!({ "stock": 5 })).await;
    let again = send().await;

    assert_eq!((first.status, again.status), (422, 422));
    assert_eq!(first.text, again.text);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.header("content-type"), Some("application/problem+json"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_customer_sees_their_own_orders_only(pool: PgPool) {
    let (api, admin, ada) = shop(&pool).await;
    let bob = Caller::customer(&api.url, "bob").await;
    let mug = admin.post("/products", json!({ "name": "Mug", "price": 1, "stock": 9 })).await.json["id"].clone();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(ada.order(mug.as_str().unwrap(), 1, "test").await.json["id"].as_str().unwrap().to_owned());
    }

    let page = ada.get("/orders?take=2").await;
    let listed: Vec<&str> = page.json["items"].as_array().unwrap().iter().map(|o| o["id"].as_str().unwrap()).collect();
    assert_eq!(listed, [&ids[2], &ids[1]]);
    assert_eq!((&page.json["hasNextPage"], &page.json["totalCount"]), (&json!(true), &json!(3)));
    assert_eq!(bob.get("/orders").await.json["totalCount"], 0);
    let path = format!("/orders/{}", ids[0]);
    assert_eq!(ada.get(&path).await.status, 200);
    for other in [&bob, &admin] {
        assert_problem(&other.get(&path).await, 404, "not_found");
    }
    assert_problem(&Caller::nobody(&api.url).get(&path).await, 401, "token_missing");
    assert_problem(&ada.get("/orders/7").await, 400, "invalid_parameter");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_is_cancelled_by_its_customer_until_it_has_ended(pool: PgPool) {
    let shop = Environment::new(&pool);
    let api = shop.api();
    seed::admin(&pool, false).await.unwrap();
    let admin = Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await;
    let (ada, bob) = (Caller::customer(&api.url, "ada").await, Caller::customer(&api.url, "bob").await);
    let mug = admin.post("/products", json!({ "name": "Mug", "price": 1, "stock": 3 })).await.json["id"].clone();
    let mug = mug.as_str().unwrap();
    let id = ada.order(mug, 2, "pm_sim_success").await.json["id"].as_str().unwrap().to_owned();
    let path = format!("/orders/{id}/cancel");

    assert_problem(&Caller::nobody(&api.url).post(&path, json!({})).await, 401, "token_missing");
    assert_problem(&bob.post(&path, json!({})).await, 404, "not_found");
    assert_problem(&ada.post("/orders/7/cancel", json!({})).await, 400, "invalid_parameter");
    let cancelled = read(ada.request(Method::POST, &path).send().await.unwrap()).await;
    let again = ada.post(&path, json!({})).await;

    assert_eq!((cancelled.status, &cancelled.json["status"]), (200, &json!("CANCELLED")), "{}", cancelled.text);
    assert_eq!((again.status, &again.text), (200, &cancelled.text));
    assert_eq!(ada.get(&format!("/orders/{id}")).await.text, cancelled.text);
    assert_eq!(ada.get(&format!("/products/{mug}")).await.json["stock"], 3);

    let slow = ada.order(mug, 1, "pm_sim_slow_3000").await.json["id"].as_str().unwrap().to_owned();
    let _worker = shop.worker();
    ada.order_becomes(&slow, "PROCESSING").await;
    let refused = ada.post(&format!("/orders/{slow}/cancel"), json!({})).await;
    assert_problem(&refused, 409, "charge_in_flight");
    assert_eq!(refused.header("retry-after"), Some("1"));
    ada.order_becomes(&slow, "COMPLETED").await;
    assert_problem(&ada.post(&format!("/orders/{slow}/cancel"), json!({})).await, 409, "order_already_ended");
    assert_eq!(ada.get(&format!("/orders/{id}")).await.json["status"], "CANCELLED");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_paid_order_is_refunded_by_an_admin_and_nobody_else(pool: PgPool) {
    let shop = Environment::new(&pool);
    let api = shop.api();
    seed::admin(&pool, false).await.unwrap();
    let admin = Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await;
    let ada = Caller::customer(&api.url, "ada").await;
    let mug = admin.post("/products", json!({ "name": "Mug", "price": 1, "stock": 3 })).await.json["id"].clone();
    let placed = ada.order(mug.as_str().unwrap(), 2, "pm_sim_success").await;
    let order = format!("/orders/{}", placed.json["id"].as_str().unwrap());
    let path = format!("{order}/refund");
    let restock = json!({ "restock": true, "reason": " broken on arrival " });

    assert_problem(&Caller::nobody(&api.url).post(&path, restock.clone()).await, 401, "token_missing");
    assert_problem(&ada.post(&path, restock.clone()).await, 403, "admin_only");
    assert_problem(&admin.post("/orders/7/refund", restock.clone()).await, 400, "invalid_parameter");
    let nowhere = "/orders/01890000-0000-7000-8000-000000000000/refund";
    assert_problem(&admin.post(nowhere, restock.clone()).await, 404, "not_found");
    let long = "x".repeat(201);
    for body in [json!({}), json!({ "restock": "yes" }), json!({ "restock": true, "amount": 1 }), json!([true])] {
        assert_problem(&admin.post(&path, body).await, 400, "invalid_body");
    }
    for reason in ["", "  ", "\0", &long] {
        let body = json!({ "restock": true, "reason": reason });
        assert_problem(&admin.post(&path, body).await, 400, "invalid_body");
    }
    assert_problem(&admin.post(&path, restock.clone()).await, 409, "order_not_refundable");
    assert!(!ada.get(&order).await.text.contains("refund"), "an order without one says nothing of it");
    let worker = shop.worker();
    ada.order_becomes(placed.json["id"].as_str().unwrap(), "COMPLETED").await;
    drop(worker);

    let asked = admin.post(&path, restock.clone()).await;
    assert_eq!((asked.status, &asked.json["status"]), (202, &json!("COMPLETED")), "{}", asked.text);
    let refund = &asked.json["refund"];
    assert_eq!((&refund["status"], &refund["restock"]), (&json!("PENDING"), &json!(true)));
    assert_eq!((&refund["reason"], &refund["refundedAt"]), (&json!("broken on arrival"), &Value::Null));
    assert!(refund["requestedAt"].as_str().unwrap().ends_with('Z'));
    let again = admin.post(&path, json!({ "restock": true })).await;
    assert_eq!((again.status, &again.text), (202, &asked.text));
    assert_eq!(ada.get(&order).await.text, asked.text);
    assert_problem(&admin.post(&path, json!({ "restock": false })).await, 409, "refund_already_requested");

    let _worker = shop.worker();
    ada.order_becomes(placed.json["id"].as_str().unwrap(), "REFUNDED").await;
    let done = admin.post(&path, restock).await;
    assert_eq!((done.status, &done.json["refund"]["status"]), (200, &json!("REFUNDED")), "{}", done.text);
    assert_eq!(ada.get(&order).await.text, done.text);
    assert_problem(&admin.post(&path, json!({ "restock": false })).await, 409, "refund_already_requested");
    assert_problem(&ada.post(&format!("{order}/cancel"), json!({})).await, 409, "order_already_ended");
    assert_eq!(ada.get(&format!("/products/{}", mug.as_str().unwrap())).await.json["stock"], 3);
    let asked_by: String = sqlx::query_scalar("SELECT u.email FROM refunds r JOIN users u ON u.id = r.requested_by")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(asked_by, seed::ADMIN_EMAIL);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_good_token_of_a_user_who_is_gone_is_not_good_any_more(pool: PgPool) {
    let (_api, admin, ada) = shop(&pool).await;
    let mug = admin.post("/products", json!({ "name": "Mug", "price": 1, "stock": 3 })).await.json["id"].clone();
    sqlx::query("DELETE FROM users WHERE email = 'ada@example.com'").execute(&pool).await.unwrap();

    assert_problem(&ada.order(mug.as_str().unwrap(), 1, "test").await, 401, "token_invalid");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_no_handler_answers_is_a_problem_too(pool: PgPool) {
    let (api, _, ada) = shop(&pool).await;
    let nobody = Caller::nobody(&api.url);

    assert_problem(&nobody.get("/nothing-here").await, 404, "no_route");
    assert_problem(&nobody.with_token("garbage").get("/orders").await, 401, "token_invalid");
    let text = ada.request(Method::POST, "/orders").header("Content-Type", "text/plain").body("{}");
    assert_problem(&read(text.send().await.unwrap()).await, 415, "unsupported_media_type");
    let broken = ada.request(Method::POST, "/orders").header("Content-Type", "application/json").body("{");
    assert_problem(&read(broken.send().await.unwrap()).await, 400, "invalid_body");
    let huge =
        ada.request(Method::POST, "/orders").header("Content-Type", "application/json").body("x".repeat(300_000));
    assert_problem(&read(huge.send().await.unwrap()).await, 413, "body_too_large");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn too_many_logins_are_told_when_to_come_back(pool: PgPool) {
    let api = Environment::new(&pool)
        .with("SHOP_RATE_LIMITS", "on")
        .with("ROCKET_RATE_LIMITS", "{timeout_ms=10000,login={per_minute=2,burst=2}}")
        .api();
    let nobody = Caller::nobody(&api.url);
    let guess = async || nobody.post("/login", json!({ "email": "ada@example.com", "password": "x" })).await;

    assert_problem(&guess().await, 401, "wrong_credentials");
    assert_problem(&guess().await, 401, "wrong_credentials");
    let refused = guess().await;
    assert_problem(&refused, 429, "rate_limited");
    let ada = Caller::customer(&api.url, "ada").await;
    let with_token = ada.post("/login", json!({ "email": "ada@example.com", "password": "x" })).await;
    assert_problem(&with_token, 429, "rate_limited");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_api_says_how_it_is_and_what_is_away(pool: PgPool) {
    let shop = Environment::new(&pool);
    let api = shop.api();
    let nobody = Caller::nobody(&api.url);
    assert_eq!(nobody.get("/livez").await.text, "ok\n");
    let ready = nobody.get("/readyz").await;
    let ok = json!({ "status": "ok" });
    let all_well = json!({ "status": "ready", "postgres": ok, "schema": ok, "redis": ok, "process": ok });
    assert_eq!((ready.status, ready.json), (200, all_well));
    let metrics = nobody.get("/metrics").await;
    assert!(
        metrics.text.contains("http_requests_total{method=\"GET\",route=\"/readyz\",status=\"200\"} 1"),
        "{}",
        metrics.text
    );

    // Port 9 is nobody's: the servers are away from the start.
    let without_redis = shop.clone().with("REDIS_URL", "redis://127.0.0.1:9/0").api();
    let degraded = Caller::nobody(&without_redis.url).get("/readyz").await;
    assert_eq!(
        (degraded.status, &degraded.json["status"], &degraded.json["redis"]["status"]),
        (200, &json!("degraded"), &json!("failing"))
    );
    let without_postgres = shop.with("DATABASE_URL", "postgres://shop@127.0.0.1:9/shop").api();
    let unavailable = Caller::nobody(&without_postgres.url);
    let ready = unavailable.get("/readyz").await;
    let said = |check: &str| ready.json[check]["status"].as_str().unwrap();
    assert_eq!((ready.status, said("postgres"), said("schema"), said("redis")), (503, "failing", "unknown", "ok"));
    let refused = unavailable.get("/products").await;
    assert_problem(&refused, 503, "database_unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn orders_are_taken_while_redis_is_away_and_paid_when_it_is_back(pool: PgPool) {
    let shop = Environment::new(&pool).with("ROCKET_JOBS", "{base_ms=20}");
    let api = shop.clone().with("REDIS_URL", "redis://127.0.0.1:9/0").api();
    seed::admin(&pool, false).await.unwrap();
    let admin = Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await;
    let mug = admin.post("/products", json!({ "name": "Mug", "price": 1, "stock": 3 })).await.json["id"].clone();
    let ada = Caller::customer(&api.url, "ada").await;

    let placed = ada.order(mug.as_str().unwrap(), 1, "pm_sim_success").await;
    assert_eq!(placed.status, 201);
    let _worker = shop.worker();

    ada.order_becomes(placed.json["id"].as_str().unwrap(), "COMPLETED").await;
}
