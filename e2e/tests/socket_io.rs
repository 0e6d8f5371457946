//! Live status over Socket.IO, packet by packet: polling, WebSocket, both namespaces, both ways to send a token.
//!
//! The packets are those of Engine.IO 4 and Socket.IO 5:
//! <https://socket.io/docs/v4/engine-io-protocol/> and <https://socket.io/docs/v4/socket-io-protocol/>.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use shop_common::db::MIGRATOR;
use shop_e2e::{Caller, flood, mug, read, slow_reader_is_dropped};
use shop_testkit::binaries::{Api, Environment};
use sqlx::PgPool;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const PATIENCE: Duration = Duration::from_secs(20);

/// A client that speaks WebSocket only.
struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(api: &Api) -> Self {
        let url = format!("{}/socket.io/?EIO=4&transport=websocket", api.url.replace("http", "ws"));
        let mut client = Self(connect_async(url).await.unwrap().0);
        assert!(client.next().await.starts_with("0{"));
        client
    }

    async fn send(&mut self, packet: String) {
        self.0.send(Message::text(packet)).await.unwrap();
    }

    /// The next packet that is no ping.
    async fn next(&mut self) -> String {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("a packet in time") {
                Some(Ok(Message::Text(ping))) if ping == "2" => self.send("3".to_owned()).await,
                Some(Ok(Message::Text(packet))) => return packet.to_string(),
                Some(Ok(_)) => {}
                other => panic!("the connection broke: {other:?}"),
            }
        }
    }

    async fn join(&mut self, namespace: &str, auth: Value) -> String {
        self.send(format!("40{namespace},{auth}")).await;
        self.next().await
    }
}

/// The arguments of a `status` packet of that namespace.
fn status(packet: &str, namespace: &str) -> (Value, i64) {
    let packet = packet.strip_prefix(&format!("42{namespace},")).unwrap_or_else(|| panic!("no event: {packet}"));
    let (event, data, seq): (String, Value, i64) = serde_json::from_str(packet).unwrap();
    assert_eq!(event, "status");
    (data, seq)
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn both_namespaces_push_over_one_websocket_and_a_number_resumes(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, _worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let auth = json!({ "token": ada.token() });
    let mut client = Client::connect(&api).await;
    assert!(client.join("/orders", auth.clone()).await.starts_with("40/orders,"));

    let placed = ada.order(&mug, 1, "pm_sim_success").await;

    let mut seen = Vec::new();
    for _ in 0..3 {
        let (order, seq) = status(&client.next().await, "/orders");
        assert_eq!(order["id"], placed.json["id"]);
        assert_eq!(order["orderItems"][0]["product"]["id"], mug.as_str());
        assert!(order["createdBy"].is_string());
        seen.push((order["status"].as_str().unwrap().to_owned(), seq));
    }
    assert_eq!(seen, [("PENDING".to_owned(), 1), ("PROCESSING".to_owned(), 2), ("COMPLETED".to_owned(), 4)]);

    let since = json!({ "token": ada.token(), "since": 0 });
    assert!(client.join("/payment", since).await.starts_with("40/payment,"));
    let (payment, seq) = status(&client.next().await, "/payment");
    assert_eq!((&payment["orderId"], &payment["status"], seq), (&placed.json["id"], &json!("COMPLETED"), 3));
    assert_eq!((&payment["amount"], &payment["currency"]), (&json!(12.5), &json!("USD")));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_client_that_can_only_poll_is_served_too(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, _worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let get = async |path: &str| read(ada.request(Method::GET, path).send().await.unwrap()).await.text;

    let opened = get("/socket.io/?EIO=4&transport=polling").await;
    let sid = serde_json::from_str::<Value>(&opened[1..]).unwrap()["sid"].as_str().unwrap().to_owned();
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    let send = async |packet: &'static str| {
        let answer = ada.request(Method::POST, &path).body(packet).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "ok");
    };
    // The packets of a poll; a ping among them is answered.
    let poll = async || {
        let (pings, packets): (Vec<String>, Vec<String>) =
            get(&path).await.split('\u{1e}').map(str::to_owned).partition(|packet| packet == "2");
        if !pings.is_empty() {
            send("3").await;
        }
        packets
    };
    // The token is in the Authorization header, as the reference's clients send it.
    send("40/orders,").await;
    let mut packets = Vec::new();
    while packets.is_empty() {
        packets = poll().await;
    }
    assert!(packets[0].starts_with("40/orders,"), "{packets:?}");

    ada.order(&mug, 1, "pm_sim_success").await;

    let mut statuses = Vec::new();
    while statuses.len() < 3 {
        for packet in poll().await {
            statuses.push(status(&packet, "/orders").0["status"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(statuses, ["PENDING", "PROCESSING", "COMPLETED"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn nobody_joins_a_namespace_without_a_good_token_and_nobody_hears_of_others(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, _worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let (ada, bob) = (Caller::customer(&api.url, "ada").await, Caller::customer(&api.url, "bob").await);
    let mut client = Client::connect(&api).await;
    for (auth, code) in [
        (json!({}), "token_missing"),
        (json!({ "token": "garbage" }), "token_invalid"),
        (json!({ "token": 7 }), "invalid_parameter"),
        (json!({ "token": bob.token(), "since": "7" }), "invalid_parameter"),
        (json!({ "token": bob.token(), "since": -1 }), "invalid_parameter"),
    ] {
        let refused = client.join("/orders", auth).await;
        assert_eq!(refused, format!("44/orders,{}", json!({ "message": code })));
    }
    assert!(client.join("/orders", json!({ "token": bob.token() })).await.starts_with("40/orders,"));

    ada.order(&mug, 1, "pm_sim_success").await;
    let bobs = bob.order(&mug, 1, "pm_sim_success").await;

    for _ in 0..3 {
        assert_eq!(status(&client.next().await, "/orders").0["id"], bobs.json["id"]);
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_socket_ends_with_its_token_and_open_ones_do_not_hold_the_server_up(pool: PgPool) {
    let shop = Environment::new(&pool);
    let short = shop.clone().with("ROCKET_AUTH", "{token_seconds=4}").api();
    let ada = Caller::customer(&short.url, "ada").await;
    let mut client = Client::connect(&short).await;
    assert!(client.join("/orders", json!({ "token": ada.token() })).await.starts_with("40/orders,"));
    assert_eq!(client.next().await, r#"42/orders,["error","token_expired"]"#);
    assert_eq!(client.next().await, "41/orders,");

    assert_eq!(tokio::task::spawn_blocking(move || short.process.terminate()).await.unwrap(), Some(0));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_socket_ends_when_its_token_is_revoked(pool: PgPool) {
    let shop = Environment::new(&pool);
    let api = shop.api();
    let ada = Caller::customer(&api.url, "ada").await;
    let auth = json!({ "token": ada.token() });
    let mut client = Client::connect(&api).await;
    assert!(client.join("/payment", auth.clone()).await.starts_with("40/payment,"));

    assert!(shop.command("shopctl").args(["users", "revoke", "ada@example.com"]).output().unwrap().status.success());

    assert_eq!(client.next().await, r#"42/payment,["error","token_revoked"]"#);
    assert_eq!(client.next().await, "41/payment,");
    assert_eq!(client.join("/payment", auth).await, r#"44/payment,{"message":"token_revoked"}"#);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_number_that_is_too_old_or_from_other_books_is_told_to_start_afresh(pool: PgPool) {
    let api = Environment::new(&pool).api();
    let ada = Caller::customer(&api.url, "ada").await;
    let mut client = Client::connect(&api).await;
    let auth = json!({ "token": ada.token(), "since": 99 });
    assert!(client.join("/orders", auth).await.starts_with("40/orders,"));
    assert_eq!(client.next().await, r#"42/orders,["resync",0]"#);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_reader_that_takes_nothing_is_dropped_and_comes_back_to_what_it_missed(pool: PgPool) {
    let shop = Environment::new(&pool).with("ROCKET_LIVE", "{slow_reader_ms=300}");
    let (api, _worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;
    flood(&pool, &ada, &mug).await;

    let mut client = Client::connect(&api).await;
    let auth = |since: i64| json!({ "token": ada.token(), "since": since });
    client.send(format!("40/payment,{}", auth(0))).await;
    slow_reader_is_dropped(&api).await;

    // What is read now ends: with words, or with the connection.
    let mut last = 0;
    let mut ended = false;
    while !ended {
        match timeout(PATIENCE, client.0.next()).await.expect("an end in time") {
            Some(Ok(Message::Text(packet))) if packet.starts_with("42/payment,[\"status\"") => {
                last = status(&packet, "/payment").1;
            }
            Some(Ok(Message::Text(packet))) => ended = packet == "41/payment,",
            Some(Ok(_)) => {}
            _ => ended = true,
        }
    }
    assert!(last < 304);

    let mut again = Client::connect(&api).await;
    assert!(again.join("/payment", auth(last)).await.starts_with("40/payment,"));
    for number in last.max(4) + 1..=304 {
        assert_eq!(status(&again.next().await, "/payment").1, number);
    }
}
