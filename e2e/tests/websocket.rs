//! Live status over `/ws`, with the real api and the real worker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use futures::future::join_all;
use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use shop_common::db::MIGRATOR;
use shop_common::verify::{self, Ledger};
use shop_common::{events, seed};
use shop_e2e::{Caller, flood, mug, read, slow_reader_is_dropped};
use shop_testkit::binaries::{Api, Environment};
use sqlx::PgPool;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
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
async fn an_order_is_paid_and_refunded_and_its_owner_sees_it_on_the_socket(pool: PgPool) {
    let shop = environment(&pool);
    let (api, other_api, _worker) = (shop.api(), shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let admin = Caller::login(&other_api.url, seed::ADMIN_EMAIL, "password").await;
    let ada = Caller::customer(&api.url, "ada").await;
    let mut socket = connect(&api, &ada, "").await.unwrap();
    let placed = ada.order(&mug, 2, "pm_sim_decline_1_then_success").await;
    until(&mut socket, "COMPLETED").await;
    let path = format!("/orders/{}/refund", placed.json["id"].as_str().unwrap());

    let asked = admin.post(&path, json!({ "restock": false, "reason": "lost in the post" })).await;

    assert_eq!(asked.status, 202, "{}", asked.text);
    let seen = until(&mut socket, "REFUNDED").await;
    assert_eq!(statuses(&seen), ["payment.status REFUNDED", "order.status REFUNDED"]);
    let (payment, order) = (&seen[0]["data"], &seen[1]["data"]);
    assert_eq!((&payment["orderId"], &payment["amount"]), (&placed.json["id"], &json!(25)));
    assert_eq!((&payment["attempt"], &payment["error"]), (&json!(1), &Value::Null));
    assert_eq!((&order["refund"]["status"], &order["refund"]["restock"]), (&json!("REFUNDED"), &json!(false)));
    assert_eq!(order["refund"]["reason"], "lost in the post");
    assert_eq!(ada.get(&format!("/products/{mug}")).await.json["stock"], 998);
    let charges: Vec<String> =
        sqlx::query_scalar("SELECT state FROM simulated_gateway.charges ORDER BY key").fetch_all(&pool).await.unwrap();
    assert_eq!(charges, ["declined", "refunded"]);
    for finding in verify::verify(&pool, Ledger::Here).await.unwrap() {
        assert!(finding.violations.is_empty(), "{}: {:#?}", finding.meaning, finding.violations);
    }
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
    let short = shop.clone().with("ROCKET_AUTH", "{token_seconds=4}").api();
    let ada = Caller::customer(&short.url, "ada").await;
    let mut socket = connect(&short, &ada, "").await.unwrap();
    assert_eq!(next(&mut socket).await, Err(4401));

    let api = shop.api();
    let ada = Caller::login(&api.url, "ada@example.com", shop_e2e::PASSWORD).await;
    let mut socket = connect(&api, &ada, "").await.unwrap();
    socket.send(Message::text("x".repeat(5000))).await.unwrap();
    assert_eq!(next(&mut socket).await, Err(1002));

    let mut socket = connect(&api, &ada, "").await.unwrap();
    let stopping = tokio::task::spawn_blocking(move || api.process.terminate());
    assert_eq!(next(&mut socket).await, Err(1012));
    drop(socket);
    assert_eq!(stopping.await.unwrap(), Some(0));
}

/// The status and the code with which the server does not let somebody in.
async fn refused(request: Request) -> (u16, String) {
    match connect_async(request).await {
        Err(Error::Http(answer)) => {
            let problem: Value = serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap();
            (answer.status().as_u16(), problem["code"].as_str().unwrap().to_owned())
        }
        other => panic!("not refused: {other:?}"),
    }
}

fn request(api: &Api, path: &str, headers: &[(&'static str, &str)]) -> Request {
    let mut request = format!("{}{path}", api.url.replace("http", "ws")).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_ticket_opens_one_socket_on_any_api_without_a_header(pool: PgPool) {
    let shop = environment(&pool);
    let (api, other_api, _worker) = (shop.api(), shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let ticket = format!("/ws?ticket={}&since=0", ada.ticket().await);

    let (mut socket, _) = connect_async(request(&other_api, &ticket, &[])).await.unwrap();
    ada.order(&mug, 1, "pm_sim_success").await;

    assert_eq!(numbers(&until(&mut socket, "COMPLETED").await), [1, 2, 3, 4]);
    let spent = (401, "ticket_invalid".to_owned());
    assert_eq!(refused(request(&api, &ticket, &[])).await, spent);
    assert_eq!(refused(request(&api, "/ws?ticket=guessed", &[])).await, spent);

    let hasty = shop.with("ROCKET_LIVE", "{ticket_seconds=0}").api();
    let late = ada.at(&hasty.url).request(Method::POST, "/auth/ws-ticket").send().await.unwrap();
    let late = read(late).await.json["ticket"].as_str().unwrap().to_owned();
    assert_eq!(refused(request(&hasty, &format!("/ws?ticket={late}"), &[])).await, spent);
    assert_eq!(Caller::nobody(&api.url).post("/auth/ws-ticket", Value::Null).await.status, 401);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn revoked_tokens_and_what_they_have_opened_end_and_a_new_login_is_good(pool: PgPool) {
    let shop = environment(&pool);
    let api = shop.api();
    let (ada, bob) = (Caller::customer(&api.url, "ada").await, Caller::customer(&api.url, "bob").await);
    let ticket = format!("/ws?ticket={}", ada.ticket().await);
    let unspent = format!("/ws?ticket={}", ada.ticket().await);
    let mut by_token = connect(&api, &ada, "").await.unwrap();
    let (mut by_ticket, _) = connect_async(request(&api, &ticket, &[])).await.unwrap();
    let mut bobs = connect(&api, &bob, "").await.unwrap();

    assert!(shop.command("shopctl").args(["users", "revoke", "ADA@example.com"]).output().unwrap().status.success());

    assert_eq!(next(&mut by_token).await, Err(4401));
    assert_eq!(next(&mut by_ticket).await, Err(4401));
    let answer = ada.get("/orders").await;
    assert_eq!((answer.status, &answer.json["code"]), (401, &json!("token_revoked")));
    assert_eq!(refused(request(&api, &unspent, &[])).await, (401, "token_revoked".to_owned()));

    let again = Caller::login(&api.url, "ada@example.com", shop_e2e::PASSWORD).await;
    assert_eq!(again.get("/orders").await.status, 200);
    connect(&api, &again, "").await.unwrap();
    // An api that starts now knows of it before it answers anybody.
    let late = shop.api();
    assert_eq!(ada.at(&late.url).get("/orders").await.json["code"], "token_revoked");
    assert_eq!(bob.get("/orders").await.status, 200);
    bobs.send(Message::Ping(Default::default())).await.unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_comes_back_after_the_retention_is_told_to_start_afresh(pool: PgPool) {
    let shop = environment(&pool);
    let (api, _worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let mut watching = connect(&api, &ada, "").await.unwrap();
    for _ in 0..2 {
        ada.order(&mug, 1, "pm_sim_success").await;
        until(&mut watching, "COMPLETED").await;
    }

    // Half of it: what is left does not join what the client has seen.
    sqlx::query("UPDATE events SET created_at = now() - interval '40 days' WHERE seq <= 5")
        .execute(&pool)
        .await
        .unwrap();
    events::forget(&pool, Duration::from_secs(30 * 86400), 100).await.unwrap();
    let mut socket = connect(&api, &ada, "?since=2").await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap(), json!({ "seq": 8, "type": "resync" }));
    let mut in_time = connect(&api, &ada, "?since=5").await.unwrap();
    assert_eq!(numbers(&until(&mut in_time, "COMPLETED").await), [6, 7, 8]);

    // All of it.
    events::forget(&pool, Duration::ZERO, 100).await.unwrap();
    let mut late = connect(&api, &ada, "?since=7").await.unwrap();
    assert_eq!(next(&mut late).await.unwrap(), json!({ "seq": 8, "type": "resync" }));
    let mut up_to_date = connect(&api, &ada, "?since=8").await.unwrap();

    ada.order(&mug, 1, "pm_sim_success").await;
    for socket in [&mut watching, &mut socket, &mut in_time, &mut late, &mut up_to_date] {
        assert_eq!(numbers(&until(socket, "COMPLETED").await), [9, 10, 11, 12]);
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn pages_of_other_origins_get_in_only_if_the_settings_say_so(pool: PgPool) {
    let shop = environment(&pool).with("ROCKET_LIVE", r#"{origins=["https://shop.example"]}"#);
    let api = shop.api();
    let ada = Caller::customer(&api.url, "ada").await;
    let token = format!("Bearer {}", ada.token().unwrap());
    let polling = "/socket.io/?EIO=4&transport=polling";

    for origin in ["https://shop.example", api.url.as_str()] {
        let headers = [("Authorization", token.as_str()), ("Origin", origin)];
        connect_async(request(&api, "/ws", &headers)).await.unwrap();
        let answer = read(ada.request(Method::GET, polling).header("Origin", origin).send().await.unwrap()).await;
        assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (200, Some(origin)));
    }
    let headers = [("Authorization", token.as_str()), ("Origin", "https://evil.example")];
    assert_eq!(refused(request(&api, "/ws", &headers)).await, (403, "origin_not_allowed".to_owned()));
    let answer = ada.request(Method::GET, polling).header("Origin", "https://evil.example").send().await.unwrap();
    let answer = read(answer).await;
    assert_eq!((answer.status, &answer.json["code"]), (403, &json!("origin_not_allowed")));

    let preflight = async |origin: &str| {
        let asked = ada.request(Method::OPTIONS, "/orders").header("Origin", origin);
        read(asked.header("Access-Control-Request-Method", "POST").send().await.unwrap()).await
    };
    let allowed = preflight("https://shop.example").await;
    assert_eq!((allowed.status, allowed.header("Vary")), (204, Some("Origin")));
    assert!(allowed.header("Access-Control-Allow-Headers").unwrap().contains("Idempotency-Key"));
    assert_eq!(preflight("https://evil.example").await.header("Access-Control-Allow-Origin"), None);
    assert_eq!(ada.get("/orders").await.header("Access-Control-Allow-Origin"), None);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_reader_that_takes_nothing_is_dropped_with_a_reason(pool: PgPool) {
    let shop = environment(&pool).with("ROCKET_LIVE", "{slow_reader_ms=300}");
    let (api, _worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;
    flood(&pool, &ada, &mug).await;

    let mut socket = connect(&api, &ada, "?since=0").await.unwrap();
    slow_reader_is_dropped(&api).await;

    let end = async {
        loop {
            if let Err(code) = next(&mut socket).await {
                return code;
            }
        }
    };
    assert_eq!(end.await, 1008);
}

/// As many sockets as each customer may have, all opened at once.
async fn everybody(api: &Api, customers: &[Caller], query: &str) -> Vec<Socket> {
    let each = customers.iter().flat_map(|customer| (0..20).map(move |_| customer));
    join_all(each.map(async |customer| connect(api, customer, query).await.unwrap())).await
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_crowd_that_comes_back_at_once_is_let_in_and_misses_nothing(pool: PgPool) {
    let shop = environment(&pool).with("ROCKET_LIVE", "{connects_per_second=200}");
    let (api, other_api, _worker) = (shop.api(), shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let url = api.url.as_str();
    let customers = join_all((0..15).map(|n| async move { Caller::customer(url, &n.to_string()).await })).await;
    let crowd = everybody(&api, &customers, "").await;
    for customer in &customers {
        customer.order(&mug, 1, "pm_sim_success").await;
    }

    api.process.kill();
    drop(crowd);
    let back = everybody(&other_api, &customers, "?since=0").await;

    for mut socket in back {
        assert_eq!(numbers(&until(&mut socket, "COMPLETED").await), [1, 2, 3, 4]);
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_would_wait_too_long_to_be_let_in_is_told_when_to_come_back(pool: PgPool) {
    let api = environment(&pool).with("ROCKET_LIVE", "{connects_per_second=1}").api();
    let ada = Caller::customer(&api.url, "ada").await;
    let mut crowd: FuturesUnordered<_> = (0..20).map(|_| connect(&api, &ada, "")).collect();
    let answer = loop {
        if let Err(Error::Http(answer)) = crowd.next().await.expect("somebody is turned away") {
            break answer;
        }
    };

    let problem: Value = serde_json::from_slice(answer.body().as_deref().unwrap()).unwrap();
    assert_eq!((answer.status().as_u16(), &problem["code"]), (503, &json!("overloaded")));
    let wait: u64 = answer.headers()["Retry-After"].to_str().unwrap().parse().unwrap();
    assert!(wait > 10, "{wait}");
}
