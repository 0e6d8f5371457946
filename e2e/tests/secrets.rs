//! What must not be told, and what nobody may set: secrets in wrong places, and fields that are not the client's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use shop_common::db::MIGRATOR;
use shop_common::seed;
use shop_e2e::document::{Operation, operations};
use shop_e2e::{Answer, Caller, PASSWORD, eventually, order, read};
use shop_testkit::binaries::Environment;
use shop_testkit::url_of;
use sqlx::PgPool;

/// A password that somebody types into whatever they see. In lower case it is told by [`TRACE`].
const CANARY: &str = "Canary-7f3e!Aa1";
const TRACE: &str = "canary-7f3e";
const JWT_SECRET: &str = "canary-0f9d2c7be8a1456394d7c0ab12ef5678";

/// Fields, and what else could be expected there.
const FIELDS: [&str; 11] = [
    "email",
    "password",
    "name",
    "description",
    "price",
    "stock",
    "items",
    "productId",
    "quantity",
    "paymentMethod",
    CANARY,
];

/// Who could be told a secret by mistake.
struct Listener {
    secrets: Vec<String>,
}

impl Listener {
    fn hears(&self, what: &str, text: &str) {
        let text = text.to_lowercase();
        for secret in &self.secrets {
            let told = text.lines().find(|line| line.contains(&secret.to_lowercase()));
            assert_eq!(told, None, "{secret} is told by {what}");
        }
    }

    /// Sends a request, and listens to what it is answered if it is refused.
    async fn sends(&self, what: &str, request: RequestBuilder) -> Answer {
        let answer = read(request.send().await.unwrap()).await;
        if answer.status >= 400 {
            self.hears(what, &answer.text);
        }
        answer
    }
}

/// The URL with a password in it, and that password: the one that is there already, if the server wants one.
fn with_password(url: &str, password: &str) -> (String, String) {
    let (scheme, rest) = url.split_once("://").unwrap();
    match rest.split_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((_, known)) => (url.to_owned(), known.to_owned()),
            None => (format!("{scheme}://{user}:{password}@{host}"), password.to_owned()),
        },
        None => (format!("{scheme}://:{password}@{rest}"), password.to_owned()),
    }
}

/// Bodies with the secret in every place of every kind.
fn bodies(secret: &str) -> Vec<String> {
    let good = [
        ("email", json!("eve@example.com")),
        ("password", json!(PASSWORD)),
        ("name", json!("Mug")),
        ("price", json!(1)),
        ("stock", json!(1)),
        ("items", json!([{ "productId": "01890000-0000-7000-8000-000000000000", "quantity": 1 }])),
    ];
    let mut bodies = vec![
        secret.to_owned(),
        format!("\"{secret}\""),
        format!("[\"{secret}\"]"),
        format!("{{\"password\":\"{secret}"),
        format!("{{\"password\":{secret}}}"),
        format!("{{\"password\" \"{secret}\"}}"),
        format!("{{\"{secret}\":\"{secret}\"}}"),
        format!("{{\"items\":[{{\"{secret}\":1}}]}}"),
        format!("{{\"items\":[\"{secret}\"]}}"),
        format!("{{\"items\":[{{\"productId\":\"{secret}\",\"quantity\":\"{secret}\"}}]}}"),
        format!("{{\"items\":[{{\"productId\":\"01890000-0000-7000-8000-000000000000\",\"quantity\":\"{secret}\"}}]}}"),
    ];
    for field in FIELDS {
        for value in [
            json!(secret),
            json!(format!("{secret}@example.com")),
            json!(format!("{secret} é\0")),
            json!([secret]),
            json!({ secret: secret }),
            json!(secret.repeat(2000)),
        ] {
            bodies.push(json!({ field: value }).to_string());
            // Where all else is as it should be, the value itself is looked at.
            for others in [&["email", "password"][..], &["name", "price", "stock"], &["items"]] {
                let mut body: serde_json::Map<String, Value> = good
                    .iter()
                    .filter(|(name, _)| others.contains(name))
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect();
                if body.contains_key(field) || field == "paymentMethod" {
                    body.insert(field.to_owned(), value.clone());
                    bodies.push(Value::Object(body).to_string());
                }
            }
        }
    }
    bodies
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_secret_in_the_wrong_place_is_in_no_log_no_error_and_no_metric(pool: PgPool) {
    let (database, database_password) = with_password(&url_of(&pool), "canary-database");
    let shop = Environment::new(&pool)
        .with("DATABASE_URL", &database)
        .with("JWT_SECRET", JWT_SECRET)
        .with("SHOP_LOG", "trace")
        .with("ROCKET_JOBS", "{base_ms=20}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (api, worker) = (shop.api(), shop.with("ROCKET_PORT", &port.to_string()).worker());
    seed::admin(&pool, false).await.unwrap();
    let admin = Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await;
    let nobody = Caller::nobody(&api.url);
    let account = nobody.post("/register", json!({ "email": "ada@example.com", "password": CANARY })).await;
    let ada = nobody.with_token(account.json["access_token"].as_str().unwrap());
    let token = ada.token().unwrap().to_owned();
    let ticket = ada.ticket().await;
    let signature = token.rsplit('.').next().unwrap().to_owned();
    let mug = admin.post("/products", json!({ "name": "Mug", "price": 1, "stock": 99 })).await.json["id"].clone();
    let mug = mug.as_str().unwrap();
    let placed = ada.order(mug, 1, "pm_sim_decline_1_then_success").await.json["id"].as_str().unwrap().to_owned();
    let listener = Listener {
        secrets: vec![TRACE.to_owned(), JWT_SECRET.to_owned(), signature, ticket.clone(), database_password],
    };

    // Whoever has logged out could ask nothing else.
    let operations: Vec<_> = operations().into_iter().filter(|one| !one.id.starts_with("logout")).collect();
    for operation in operations.iter().filter(|one| matches!(one.method, Method::POST | Method::PUT)) {
        let thing = if operation.path.starts_with("/orders") { &placed } else { mug };
        let (method, path) = (operation.method.clone(), operation.path_to(thing));
        for body in bodies(CANARY).into_iter().chain(bodies(&token).into_iter().take(20)) {
            for content in ["application/json", "text/plain"] {
                // Logging in with a good email costs a hash each time.
                if content == "text/plain" && body.len() > 200 {
                    continue;
                }
                let request = admin.request(method.clone(), &path).header("Content-Type", content).body(body.clone());
                listener.sends(&format!("{method} {path} {body}"), request).await;
            }
        }
    }

    for secret in [CANARY, &token, &ticket] {
        for path in [
            "/{}",
            "/docs/{}",
            "/socket.io/{}",
            "/products?{}={}",
            "/login?password={}",
            "/ws?token={}",
            "/ws?ticket={}x",
            "/socket.io/?EIO=4&transport={}",
            "/socket.io/?EIO=4&transport=polling&sid={}",
            "/socket.io/?EIO=4&transport=polling&token={}",
            "/livez?{}",
            "/readyz?{}",
            "/metrics?{}",
        ] {
            let path = path.replace("{}", secret);
            for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS] {
                listener.sends(&format!("{method} {path}"), ada.request(method, &path)).await;
            }
        }
        for operation in &operations {
            let path = operation.path_to(secret);
            listener.sends(&path, ada.request(operation.method.clone(), &path)).await;
            for parameter in operation.query() {
                let path = format!("{}?{parameter}={secret}x", operation.path_to(&placed));
                listener.sends(&path, admin.request(operation.method.clone(), &path)).await;
            }
        }
        for (header, value) in [
            ("Authorization", secret.to_owned()),
            ("Authorization", format!("Basic {secret}")),
            ("Authorization", format!("Bearer {secret}x")),
            ("Authorization", format!("Bearer a.{secret}.b")),
            ("Authorization", format!("Digest username=\"{secret}\"")),
            ("Cookie", format!("session={secret}")),
            ("Origin", format!("https://{secret}")),
            ("Content-Type", secret.to_owned()),
            ("Idempotency-Key", format!("{secret} {}", "x".repeat(255))),
            ("If-Match", secret.to_owned()),
            ("If-None-Match", secret.to_owned()),
            ("User-Agent", secret.to_owned()),
            ("Referer", format!("https://shop.example/?token={secret}")),
            ("X-Forwarded-For", secret.to_owned()),
            // One that is a plain token is told, on purpose: that is what it is for.
            ("X-Request-Id", format!("{secret}!")),
        ] {
            for (method, path) in [(Method::GET, "/orders"), (Method::POST, "/orders"), (Method::PUT, "/products/7")] {
                let caller = if header == "Authorization" { &nobody } else { &admin };
                let request = caller.request(method, path).header(header, &value).body("{}");
                listener.sends(&format!("{header}: {value}"), request).await;
            }
        }
    }

    // Sockets: the secret where a token belongs, and good ones.
    let since = json!({ "token": token, "since": CANARY });
    for auth in [
        json!(CANARY),
        json!({ "token": CANARY }),
        json!({ "token": format!("{token}x") }),
        since,
        json!({ "token": token }),
    ] {
        let polling = "/socket.io/?EIO=4&transport=polling";
        let opened = read(ada.request(Method::GET, polling).send().await.unwrap()).await;
        let session = opened.text.split('"').nth(3).unwrap().to_owned();
        let path = format!("{polling}&sid={session}");
        listener.sends("a packet", ada.request(Method::POST, &path).body(format!("40/orders,{auth}"))).await;
        let told = listener.sends("the answer to a packet", ada.request(Method::GET, &path)).await;
        listener.hears("the answer to a packet", &told.text);
    }
    let upgrade = ["Connection", "Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key"];
    let upgrade = upgrade.into_iter().zip(["Upgrade", "websocket", "13", "dGhlIHNhbXBsZSBub25jZQ=="]);
    let socket = nobody.request(Method::GET, &format!("/ws?ticket={ticket}"));
    let opened = upgrade.fold(socket, |request, (name, value)| request.header(name, value)).send().await.unwrap();
    assert_eq!(opened.status(), 101);

    let last = |id: &'static str| ada.request(Method::POST, "/orders").header("X-Request-Id", id);
    let last = read(last("the-last-one").json(&order(mug, 1, "pm_sim_success")).send().await.unwrap()).await;
    ada.order_becomes(last.json["id"].as_str().unwrap(), "COMPLETED").await;
    eventually("the logs are complete", async || api.process.log().contains("the-last-one")).await;
    let of_worker = Caller::nobody(&format!("http://127.0.0.1:{port}")).get("/metrics").await.text;
    let of_api = nobody.get("/metrics").await.text;

    assert!(of_worker.contains("shop_orders_settled_total") && of_api.contains("http_requests_total"));
    assert!(api.process.log().contains("TRACE") && worker.log().contains("TRACE"), "everything is logged that can be");
    for (what, text) in [
        ("the api's log", &api.process.log()),
        ("the worker's log", &worker.log()),
        ("the api's metrics", &of_api),
        ("the worker's metrics", &of_worker),
    ] {
        listener.hears(what, text);
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn programs_that_cannot_reach_their_servers_do_not_say_with_which_password(pool: PgPool) {
    let listener = Listener { secrets: vec!["canary".to_owned()] };
    let shop = Environment::new(&pool);
    let (redis, _) = with_password(&std::env::var("REDIS_URL").unwrap(), "canary-redis");

    // The servers are not there, or do not know the password.
    let away = shop
        .clone()
        .with("SHOP_LOG", "trace")
        .with("DATABASE_URL", "postgres://shop:canary-database@127.0.0.1:9/shop")
        .with("REDIS_URL", &redis)
        .api();
    let nobody = Caller::nobody(&away.url);
    for path in ["/products", "/readyz", "/metrics"] {
        let answer = nobody.get(path).await;
        listener.hears(path, &answer.text);
    }
    let login = json!({ "email": "ada@example.com", "password": CANARY });
    assert_eq!(nobody.post("/login", login).await.status, 503);
    eventually("it is in the log", async || away.process.log().contains("PostgreSQL is away")).await;
    listener.hears("the log", &away.process.log());

    // What cannot be read is not repeated either.
    for (program, variable, value) in [
        ("shop-api", "DATABASE_URL", "postgres://shop:canary-database@127.0.0.1:port/shop"),
        ("shop-api", "DATABASE_URL", "canary-database"),
        ("shop-api", "REDIS_URL", "redis://:canary-redis@127.0.0.1:port"),
        ("shop-worker", "REDIS_URL", "canary-redis"),
        ("shop-api", "JWT_SECRET", "canary-canary"),
        ("shop-api", "JWT_SECRET_FILE", "/nowhere/secret"),
    ] {
        let mut command = shop.clone().with(variable, value).command(program);
        if variable == "JWT_SECRET_FILE" {
            command.env_remove("JWT_SECRET");
        }
        let run = tokio::process::Command::from(command).kill_on_drop(true).output();
        let output = tokio::time::timeout(Duration::from_secs(30), run).await.expect(value).unwrap();
        assert_eq!(output.status.code(), Some(1), "{program} {variable}");
        for said in [&output.stdout, &output.stderr] {
            listener.hears(&format!("{program} with {variable}={value}"), &String::from_utf8_lossy(said));
        }
    }
}

/// Everything that a client could want to set: users and their roles, products, orders and payments.
async fn books(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT email || role || token_generation FROM users UNION ALL SELECT p::text FROM products p
         UNION ALL SELECT o::text FROM orders o UNION ALL SELECT p::text FROM payments p ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn nobody_sets_what_is_not_theirs_to_set_on_any_route_that_writes(pool: PgPool) {
    let api = Environment::new(&pool).api();
    seed::admin(&pool, false).await.unwrap();
    let admin = Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await;
    let (ada, _bob) = (Caller::customer(&api.url, "ada").await, Caller::customer(&api.url, "bob").await);
    let mug = admin.post("/products", json!({ "name": "Mug", "price": 5, "stock": 9 })).await.json["id"].clone();
    let placed = ada.order(mug.as_str().unwrap(), 1, "test").await;
    let of_bob: String = sqlx::query_scalar("SELECT id::text FROM users WHERE email = 'bob@example.com'")
        .fetch_one(&pool)
        .await
        .unwrap();
    let extras = [
        ("role", json!("ADMIN")),
        ("price", json!(0.01)),
        ("status", json!("COMPLETED")),
        ("total", json!(0.01)),
        ("userId", json!(of_bob)),
        ("user_id", json!(of_bob)),
        ("createdBy", json!(of_bob)),
        ("currency", json!("XXX")),
        ("id", json!(of_bob)),
        ("version", json!(9)),
        ("createdAt", json!("2020-01-01T00:00:00.000Z")),
        ("deletedAt", Value::Null),
        ("tokenGeneration", json!(9)),
        ("passwordHash", json!("none")),
    ];
    let before = books(&pool).await;

    let credentials = json!({ "email": "eve@example.com", "password": PASSWORD });
    let item = json!({ "productId": mug, "quantity": 1 });
    for operation in operations().into_iter().filter(Operation::takes_body) {
        let (caller, thing, body) = match operation.id {
            "register" | "registerAsReference" | "login" | "loginAsReference" => (&ada, &mug, credentials.clone()),
            "refresh" => (&ada, &mug, json!({ "refresh_token": "guessed" })),
            "changePassword" => {
                (&ada, &mug, json!({ "current_password": PASSWORD, "new_password": "B4ttery-staple-9" }))
            }
            "createProduct" => (&admin, &mug, json!({ "name": "Tea", "price": 5, "stock": 9 })),
            "updateProduct" => (&admin, &mug, json!({ "price": 5, "stock": 1 })),
            "placeOrder" => (&ada, &mug, json!({ "items": [item] })),
            "refundOrder" => (&admin, &placed.json["id"], json!({ "restock": true })),
            other => panic!("{other} takes a body: what of it is not the client's to set?"),
        };
        let (method, path) = (operation.method.clone(), operation.path_to(thing.as_str().unwrap()));
        for (field, value) in &extras {
            let mut bodies = Vec::new();
            if body.get(field).is_none() {
                bodies.push(with(&body, field, value));
            }
            if body.get("items").is_some() {
                bodies.push(json!({ "items": [with(&item, field, value)] }));
            }
            for body in bodies {
                let answer = read(caller.request(method.clone(), &path).json(&body).send().await.unwrap()).await;
                assert_eq!((answer.status, &answer.json["code"]), (400, &json!("invalid_body")), "{path} {body}");
            }
        }
    }
    assert_eq!(books(&pool).await, before, "nothing of that was done");

    // Routes without a body do not look at one, and nobody is somebody else for a query.
    let all: Value = extras
        .iter()
        .map(|(field, value)| ((*field).to_owned(), value.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let path = format!("/orders/{}/cancel?userId={of_bob}&status=COMPLETED", placed.json["id"].as_str().unwrap());
    let cancelled = ada.post(&path, all.clone()).await;
    assert_eq!(
        (&cancelled.json["status"], &cancelled.json["total"]),
        (&json!("CANCELLED"), &json!(5)),
        "{}",
        cancelled.text
    );
    assert_eq!(ada.post(&format!("/auth/ws-ticket?userId={of_bob}"), all).await.status, 201);
    let holder: String = sqlx::query_scalar("SELECT u.email FROM socket_tickets JOIN users u ON u.id = user_id")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(holder, "ada@example.com");
    assert_eq!(ada.get(&format!("/orders?userId={of_bob}")).await.json["totalCount"], 1);
    assert_eq!(books(&pool).await.len(), before.len());
}

fn with(object: &Value, field: &str, value: &Value) -> Value {
    let mut object = object.clone();
    object[field] = value.clone();
    object
}
