//! How the client behaves when the shop is busy, away, or no longer knows the token.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const ORDER: &str = r#"{"id":"o1","status":"PENDING","total":3.10}"#;
const LOGGED_IN: &str = r#"{"access_token":"new"}"#;

/// A shop that says what it is told to, one line for each request, and remembers what it was asked.
struct Script {
    shop: Shop,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Each answer is the status, more header lines, and the body; status 0 breaks the connection.
async fn script(answers: Vec<(u16, &'static str, &'static str)>) -> Script {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        for (status, headers, body) in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            heard.lock().await.push(read_request(&mut stream).await);
            if status != 0 {
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.expect("a reader");
            }
        }
    });
    Script { shop: Shop::at(&base).expect("a client"), asked }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = String::new();
    let mut chunk = [0; 4096];
    loop {
        let length = stream.read(&mut chunk).await.expect("a request");
        request.push_str(&String::from_utf8_lossy(&chunk[..length]));
        if let Some((head, body)) = request.split_once("\r\n\r\n") {
            let announced =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= announced.unwrap_or(0) {
                return request;
            }
        }
    }
}

impl Script {
    async fn place(&self) -> Result<Order, Failure> {
        let customer = Account {
            email: "c1@replay.example".to_owned(),
            password: "secret".to_owned(),
            token: Mutex::new("old".to_owned()),
        };
        let items = vec![NewItem { product_id: "p1".to_owned(), quantity: 2 }];
        self.shop.place(&customer, "key-1", &NewOrder { items, payment_method: "pm_sim_success".to_owned() }).await
    }

    async fn asked(&self) -> Vec<String> {
        self.asked.lock().await.clone()
    }
}

#[tokio::test]
async fn an_order_names_its_key_token_lines_and_payment_method() {
    let script = script(vec![(201, "", ORDER)]).await;
    let order = script.place().await.expect("an order");
    assert_eq!((order.id.as_str(), order.total), ("o1", Decimal::new(310, 2)));
    let asked = script.asked().await.remove(0);
    assert!(asked.starts_with("POST /orders HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("idempotency-key: key-1\r\n"), "{asked}");
    assert!(asked.contains("authorization: Bearer old\r\n"), "{asked}");
    assert!(
        asked.ends_with(r#"{"items":[{"productId":"p1","quantity":2}],"paymentMethod":"pm_sim_success"}"#),
        "{asked}"
    );
}

#[tokio::test]
async fn a_lost_answer_and_a_busy_shop_are_asked_again_with_the_same_key() {
    let script = script(vec![
        (0, "", ""),
        (503, "Retry-After: 0\r\n", ""),
        (429, "", r#"{"code":"rate_limited"}"#),
        (201, "", ORDER),
    ])
    .await;
    assert_eq!(script.place().await.expect("an order").id, "o1");
    let asked = script.asked().await;
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|request| request.contains("idempotency-key: key-1\r\n")));
    let causes: Vec<_> = script.shop.resent().into_iter().collect();
    assert_eq!(causes, [("429 rate_limited".to_owned(), 1), ("503".to_owned(), 1), ("no answer".to_owned(), 1)]);
}

#[tokio::test]
async fn an_order_whose_first_try_is_still_at_work_is_asked_for_again() {
    let busy = r#"{"code":"idempotency_key_in_flight"}"#;
    let script = script(vec![(0, "", ""), (409, "Retry-After: 0\r\n", busy), (201, "", ORDER)]).await;
    assert_eq!(script.place().await.expect("an order").id, "o1");
}

#[tokio::test]
async fn retry_after_is_respected() {
    let script = script(vec![(503, "Retry-After: 1\r\n", ""), (201, "", ORDER)]).await;
    let begun = std::time::Instant::now();
    script.place().await.expect("an order");
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let script = script(vec![(401, "", ""), (200, "", LOGGED_IN), (201, "", ORDER)]).await;
    script.place().await.expect("an order");
    let asked = script.asked().await;
    assert!(asked[1].starts_with("POST /login "));
    assert!(asked[2].contains("authorization: Bearer new\r\n"));
    assert!(!asked[2].contains("Bearer old"));
}

#[tokio::test]
async fn a_token_that_is_refused_twice_is_a_refusal() {
    let script = script(vec![(401, "", ""), (200, "", LOGGED_IN), (401, "", r#"{"code":"unauthorized"}"#)]).await;
    assert_eq!(script.place().await.expect_err("a refusal").reason, "401 unauthorized");
}

#[tokio::test]
async fn a_refusal_is_not_asked_again() {
    let script = script(vec![(409, "", r#"{"code":"insufficient_stock","detail":"none left"}"#)]).await;
    let failure = script.place().await.expect_err("a refusal");
    assert_eq!(failure.to_string(), "409 insufficient_stock (none left)");
    assert_eq!(script.asked().await.len(), 1);
}

#[tokio::test]
async fn a_registration_whose_answer_got_lost_becomes_a_login() {
    let script = script(vec![(0, "", ""), (409, "", r#"{"code":"email_taken"}"#), (200, "", LOGGED_IN)]).await;
    let account = script.shop.register("c1@replay.example", "secret", "Customer 1").await.expect("an account");
    assert_eq!(*account.token.lock().await, "new");
}

#[tokio::test]
async fn a_price_is_sent_with_its_own_digits() {
    let script = script(vec![(201, "", r#"{"id":"p1"}"#)]).await;
    let admin = Account { email: String::new(), password: String::new(), token: Mutex::new(String::new()) };
    let id = script.shop.create_product(&admin, "A BOX", Decimal::new(10, 2), 7).await.expect("a product");
    assert_eq!(id, "p1");
    let asked = script.asked().await.remove(0);
    assert!(asked.ends_with(r#"{"name":"A BOX","description":"A BOX","price":0.10,"stock":7}"#), "{asked}");
}
