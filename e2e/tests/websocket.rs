//! Live status over `/ws`, with the real api and the real worker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use shop_common::db::MIGRATOR;
use shop_common::seed;
use shop_e2e::Caller;
use shop_testkit::binaries::{Api, Environment};
use sqlx::PgPool;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(api: &Api, caller: &Caller, query: &str) -> Result<Socket, Error> {
    let url = format!("{}/ws{query}", api.url.replace("http", "ws"));
    let mut request = url.into_client_request().unwrap();
    if let Some(token) = caller.token() {
        request.headers_mut().insert("Authorization", format!("Bearer {token}").parse().unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

/// The next message, or the code with which the server closed.
async fn next(socket: &mut Socket) -> Result<Value, u16> {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("a message in time") {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(frame))) => return Err(frame.unwrap().code.into()),
            Some(Ok(_)) => {}
            other => panic!("the connection broke: {other:?}"),
        }
    }
}

/// The messages until an order has that status.
async fn until(socket: &mut Socket, status: &str) -> Vec<Value> {
    let mut messages = Vec::new();
    loop {
        let message = next(socket).await.unwrap();
        let done = message["type"] == "order.status" && message["data"]["status"] == status;
        messages.push(message);
        if done {
            return messages;
        }
    }
}

fn numbers(messages: &[Value]) -> Vec<i64> {
    messages.iter().map(|message| message["seq"].as_i64().unwrap()).collect()
}

fn statuses(messages: &[Value]) -> Vec<String> {
    let status = |m: &Value| format!("{} {}", m["type"].as_str().unwrap(), m["data"]["status"].as_str().unwrap());
    messages.iter().map(status).collect()
}

async fn mug(pool: &PgPool, api: &Api) -> String {
    seed::admin(pool, false).await.unwrap();
    let admin = Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await;
    let mug = json!({ "name": "Mug", "price": 12.5, "stock": 100 });
    admin.post("/products", mug).await.json["id"].as_str().unwrap().to_owned()
}

fn environment(pool: &PgPool) -> Environment {
    Environment::new(pool).with("ROCKET_JOBS", "{base_ms=20}")
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn every_change_reaches_all_sockets_of_its_owner_on_any_api_in_order_and_nobody_else(pool: PgPool) {
    let shop = environment(&pool);
    let (api, other_api, _worker) = (shop.api(), shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let (ada, bob) = (Caller::customer(&api.url, "ada").await, Caller::customer(&api.url, "bob").await);
    let mut here = connect(&api, &ada, "").await.unwrap();
    let mut there = connect(&other_api, &ada, "").await.unwrap();
    let mut bobs = connect(&api, &bob, "").await.unwrap();

    let placed = ada.order(&mug, 2, "pm_sim_flaky_1").await;
    let bobs_order = bob.order(&mug, 1, "pm_sim_success").await;

    let seen = until(&mut here, "COMPLETED").await;
    assert_eq!(
        statuses(&seen),
        [
            "order.status PENDING",
            "order.status PROCESSING",
            "payment.status PENDING",
            "payment.status COMPLETED",
            "order.status COMPLETED",
        ]
    );
    assert_eq!(numbers(&seen), [1, 2, 3, 4, 5]);
    let seen_there = until(&mut there, "COMPLETED").await;
    assert_eq!((statuses(&seen_there), numbers(&seen_there)), (statuses(&seen), numbers(&seen)));
    let order = &seen[4]["data"];
    assert_eq!((&order["id"], &order["total"]), (&placed.json["id"], &json!(25)));
    assert_eq!(order["orderItems"][0]["product"]["name"], "Mug");
    assert!(order["createdBy"].is_string());
    let payment = &seen[2]["data"];
    assert_eq!((&payment["orderId"], &payment["amount"]), (&placed.json["id"], &json!(25)));
    assert_eq!((&payment["attempt"], &payment["error"]), (&json!(1), &json!("gateway_error")));
    assert!(payment["nextAttemptAt"].is_string());

    let bobs_news = until(&mut bobs, "COMPLETED").await;
    assert!(bobs_news.iter().all(|message| {
        let data = &message["data"];
        data["id"] == bobs_order.json["id"] || data["orderId"] == bobs_order.json["id"]
    }));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_client_that_comes_back_with_its_last_number_misses_nothing(pool: PgPool) {
    let shop = environment(&pool);
    let (api, other_api, _worker) = (shop.api(), shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let mut socket = connect(&api, &ada, "").await.unwrap();
    ada.order(&mug, 1, "pm_sim_success").await;
    assert_eq!(numbers(&[next(&mut socket).await.unwrap()]), [1]);

    api.process.kill();
    let ada = ada.at(&other_api.url);
    ada.order(&mug, 1, "pm_sim_success").await;
    let mut socket = connect(&other_api, &ada, "?since=1").await.unwrap();

    let mut seen = until(&mut socket, "COMPLETED").await;
    seen.extend(until(&mut socket, "COMPLETED").await);
    assert_eq!(numbers(&seen), (2..=8).collect::<Vec<_>>());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn without_redis_news_are_late_but_not_lost(pool: PgPool) {
    let shop = environment(&pool);
    let api = shop.clone().with("REDIS_URL", "redis://127.0.0.1:9/0").api();
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let mut socket = connect(&api, &ada, "").await.unwrap();
    let _worker = shop.worker();

    ada.order(&mug, 1, "pm_sim_success").await;

    assert_eq!(numbers(&until(&mut socket, "COMPLETED").await), [1, 2, 3, 4]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_number_from_other_books_is_told_to_start_afresh(pool: PgPool) {
    let api = environment(&pool).api();
    let ada = Caller::customer(&api.url, "ada").await;
    let mut socket = connect(&api, &ada, "?since=99").await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap(), json!({ "seq": 0, "type": "resync" }));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn nobody_gets_in_without_a_good_token_nor_with_too_many_sockets(pool: PgPool) {
    let api = environment(&pool).api();
    let ada = Caller::customer(&api.url, "ada").await;
    let refused = async |caller: &Caller, query: &str| match connect(&api, caller, query).await {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        other => panic!("not refused: {other:?}"),
    };

    assert_eq!(refused(&Caller::nobody(&api.url), "").await, 401);
    assert_eq!(refused(&ada.with_token("garbage"), "").await, 401);
    assert_eq!(refused(&ada, "?since=x").await, 400);
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(connect(&api, &ada, "").await.unwrap());
    }
    assert_eq!(refused(&ada, "").await, 429);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_socket_ends_with_its_token_with_a_large_message_and_with_the_server(pool: PgPool) {
    let shop = environment(&pool);
    let short = shop.clone().with("ROCKET_AUTH", "{token_seconds=2}").api();
    let ada = Caller::customer(&short.url, "ada").await;
    let mut socket = connect(&short, &ada, "").await.unwrap();
    assert_eq!(next(&mut socket).await, Err(4401));

    let api = shop.api();
    let ada = Caller::login(&api.url, "ada@example.com", shop_e2e::PASSWORD).await;
    let mut socket = connect(&api, &ada, "").await.unwrap();
    socket.send(Message::Text("x".repeat(5000))).await.unwrap();
    assert_eq!(next(&mut socket).await, Err(1002));

    let mut socket = connect(&api, &ada, "").await.unwrap();
    let stopping = tokio::task::spawn_blocking(move || api.process.terminate());
    assert_eq!(next(&mut socket).await, Err(1012));
    drop(socket);
    assert_eq!(stopping.await.unwrap(), Some(0));
}
