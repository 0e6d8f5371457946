//! A customer of the shop, for end-to-end tests: everything over HTTP, against the real programs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot be set up has failed")]

pub mod console;
pub mod document;
pub mod promtool;
pub mod scrape;

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use shop_common::events::{self, EventKind, NewEvent};
use shop_common::id::OrderId;
use shop_common::seed;
use shop_testkit::binaries::Api;
use sqlx::PgPool;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// The password of everybody in these tests.
pub const PASSWORD: &str = "Corr3ct-horse";

/// Somebody with a token (or nobody, without one).
#[derive(Clone)]
pub struct Caller {
    client: Client,
    url: String,
    token: Option<String>,
}

/// An answer: its status, its headers and its JSON.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body, byte for byte.
    pub text: String,
    /// The body; null when it is no JSON.
    pub json: Value,
}

impl Answer {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Caller {
    /// Nobody in particular, at that api.
    pub fn nobody(url: &str) -> Self {
        Self { client: Client::new(), url: url.to_owned(), token: None }
    }

    /// A customer who has just registered.
    pub async fn customer(url: &str, name: &str) -> Self {
        let nobody = Self::nobody(url);
        let body = json!({ "email": format!("{name}@example.com"), "password": PASSWORD });
        let answer = nobody.post("/register", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        nobody.with_token(answer.json["access_token"].as_str().unwrap())
    }

    /// Somebody who logs in.
    pub async fn login(url: &str, email: &str, password: &str) -> Self {
        let nobody = Self::nobody(url);
        let answer = nobody.post("/login", json!({ "email": email, "password": password })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        nobody.with_token(answer.json["access_token"].as_str().unwrap())
    }

    /// The token, if there is one.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The same with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same at another api.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// A request that is not sent yet.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        read(self.request(Method::POST, path).json(&body).send().await.unwrap()).await
    }

    /// `PUT` of JSON.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        read(self.request(Method::PUT, path).json(&body).send().await.unwrap()).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        read(self.request(Method::DELETE, path).send().await.unwrap()).await
    }

    /// A ticket that opens one WebSocket.
    pub async fn ticket(&self) -> String {
        let answer = read(self.request(Method::POST, "/auth/ws-ticket").send().await.unwrap()).await;
        assert_eq!((answer.status, &answer.json["expiresIn"]), (201, &json!(30)), "{}", answer.text);
        answer.json["ticket"].as_str().unwrap().to_owned()
    }

    /// Orders so many of a product, paid with that method.
    pub async fn order(&self, product: &str, quantity: i64, method: &str) -> Answer {
        self.post("/orders", order(product, quantity, method)).await
    }

    /// Waits until an order has that status, and gives it.
    pub async fn order_becomes(&self, id: &str, status: &str) -> Value {
        let path = format!("/orders/{id}");
        let waiting = async {
            loop {
                let answer = self.get(&path).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                if answer.json["status"] == status {
                    return answer.json;
                }
                pause().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("order {id} did not become {status}"))
    }
}

/// A product that costs 12.50, and of which there are a thousand. Gives its id.
pub async fn mug(pool: &PgPool, api: &Api) -> String {
    seed::admin(pool, false).await.unwrap();
    let admin = Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await;
    let mug = json!({ "name": "Mug", "price": 12.5, "stock": 1000 });
    admin.post("/products", mug).await.json["id"].as_str().unwrap().to_owned()
}

/// An order that is completed, and 300 further events of its payment with 100 kB each: more than the buffers of both
/// kernels take.
pub async fn flood(pool: &PgPool, customer: &Caller, product: &str) {
    let placed = customer.order(product, 1, "pm_sim_success").await;
    let id = placed.json["id"].as_str().unwrap();
    customer.order_becomes(id, "COMPLETED").await;
    let order_id: OrderId = id.parse().unwrap();
    let user = sqlx::query_scalar("SELECT user_id FROM orders WHERE id = $1").bind(order_id).fetch_one(pool).await;
    let (user_id, kind) = (user.unwrap(), EventKind::PaymentStatus);
    let large = NewEvent { user_id, order_id, kind, data: json!({ "status": "x".repeat(100_000) }) };
    events::append(&mut pool.acquire().await.unwrap(), &vec![large; 300]).await.unwrap();
}

/// Waits until that api has dropped one socket whose reader takes nothing.
pub async fn slow_reader_is_dropped(api: &Api) {
    eventually("the server gives up", async || {
        let metrics = Caller::nobody(&api.url).get("/metrics").await.text;
        let dropped = |line: &&str| line.starts_with("shop_live_sockets_ended_total{") && line.contains("slow_reader");
        metrics.lines().filter(dropped).any(|line| line.ends_with(" 1"))
    })
    .await;
}

/// An order as it is sent.
pub fn order(product: &str, quantity: i64, method: &str) -> Value {
    json!({ "items": [{ "productId": product, "quantity": quantity }], "paymentMethod": method })
}

/// Reads an answer.
pub async fn read(response: Response) -> Answer {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let text = response.text().await.unwrap();
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer { status, headers, text, json }
}

/// Waits until a condition holds.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            pause().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("it never came true that {what}"));
}

/// A breath between two looks.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}
