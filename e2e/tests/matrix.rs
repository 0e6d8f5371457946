//! Who may do what: every operation of the OpenAPI document, asked for by everybody.
//!
//! An operation that is not in [`open_to`] fails the tests, until somebody has thought about who may do it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};
use shop_common::db::MIGRATOR;
use shop_common::seed;
use shop_common::users::signing_keys::{self, Kid};
use shop_e2e::document::{Operation, operations};
use shop_e2e::{Answer, Caller, eventually, mug, order, read};
use shop_testkit::binaries::{Api, Environment};
use sqlx::PgPool;

const SECRET: &str = "0f9d2c7be8a1456394d7c0ab12ef5678";

/// To whom an operation is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenTo {
    Everybody,
    /// Whoever has a good token.
    Users,
    /// Whose order it is. To others there is no such order.
    Owner,
    OwnerAndAdmins,
    Admins,
}

/// The matrix.
fn open_to(operation: &str) -> Option<OpenTo> {
    Some(match operation {
        "register" | "registerAsReference" | "login" | "loginAsReference" | "refresh" => OpenTo::Everybody,
        "listProducts" | "showProduct" | "live" | "ready" | "metrics" | "openapi" => OpenTo::Everybody,
        "me" | "logout" | "logoutAll" | "changePassword" | "issueTicket" | "openSocket" => OpenTo::Users,
        "placeOrder" | "listOrders" => OpenTo::Users,
        "showOrder" | "cancelOrder" => OpenTo::Owner,
        "listEvents" => OpenTo::OwnerAndAdmins,
        "createProduct" | "updateProduct" | "deleteProduct" | "listMovements" | "refundOrder" => OpenTo::Admins,
        _ => return None,
    })
}

/// What there is to ask for.
struct Things {
    product: String,
    order: String,
}

impl Things {
    async fn new(pool: &PgPool, api: &Api, owner: &Caller) -> Self {
        let product = mug(pool, api).await;
        let order = owner.order(&product, 1, "pm_sim_success").await.json["id"].as_str().unwrap().to_owned();
        Self { product, order }
    }

    fn body(&self, operation: &str) -> Option<Value> {
        Some(match operation {
            "register" | "registerAsReference" | "login" | "loginAsReference" => {
                json!({ "email": "nobody@example.com", "password": "Wr0ng-horse-staple" })
            }
            "refresh" => json!({ "refresh_token": "guessed" }),
            "changePassword" => json!({ "current_password": "wrong", "new_password": "B4ttery-staple-9" }),
            "createProduct" => json!({ "name": "Bowl", "price": 5, "stock": 1 }),
            "updateProduct" => json!({ "description": "Blue." }),
            "placeOrder" => order(&self.product, 1, "pm_sim_success"),
            "refundOrder" => json!({ "restock": false }),
            _ => return None,
        })
    }

    async fn ask(&self, operation: &Operation, caller: &Caller) -> Answer {
        let thing = if operation.path.starts_with("/orders") { &self.order } else { &self.product };
        let mut request = caller.request(operation.method.clone(), &operation.path_to(thing));
        if let Some(body) = self.body(operation.id) {
            request = request.json(&body);
        }
        if operation.id == "openSocket" {
            request = request
                .header("Connection", "Upgrade")
                .header("Upgrade", "websocket")
                .header("Sec-WebSocket-Version", "13")
                .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        }
        let response = request.send().await.unwrap();
        if response.status() == 101 {
            // An open socket has no body that ends.
            let (status, headers) = (101, response.headers().clone());
            return Answer { status, headers, text: String::new(), json: Value::Null };
        }
        read(response).await
    }
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.json["code"].as_str().unwrap_or_default())
}

/// The claims of a token.
fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// A token that somebody who knows the secret could have signed.
fn signed(header: &Header, claims: &Value, kid: &str) -> String {
    let key = signing_keys::derive(&SECRET.into(), &kid.parse::<Kid>().unwrap());
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(&key)).unwrap()
}

/// Tokens that are not good, and what is said to them.
async fn bad_tokens(api: &Api) -> Vec<(&'static str, Caller, &'static str)> {
    let nobody = Caller::nobody(&api.url);
    let revoked = Caller::customer(&api.url, "revoked").await;
    revoked.request(Method::POST, "/auth/logout").send().await.unwrap();
    eventually("the session has ended", async || revoked.get("/auth/me").await.status == 401).await;
    let good = Caller::customer(&api.url, "forged").await.token().unwrap().to_owned();
    let (claims, header) = (claims(&good), jsonwebtoken::decode_header(&good).unwrap());
    let kid = header.kid.clone().unwrap();
    let forged = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims.clone();
        change(&mut claims);
        signed(&header, &claims, &kid)
    };
    assert_eq!(nobody.with_token(&forged(&|_| ())).get("/auth/me").await.status, 200, "unchanged, it is good");
    let encode = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let none = format!("{}.{}.", encode(json!({ "alg": "none", "typ": "JWT", "kid": kid })), encode(claims.clone()));
    let swapped = signed(&Header { alg: Algorithm::HS512, ..header.clone() }, &claims, &kid);
    let unknown = "00000000000000bb".to_owned();
    let wrong_kid = signed(&Header { kid: Some(unknown.clone()), ..header.clone() }, &claims, &unknown);
    let expired = forged(&|claims| claims["exp"] = json!(claims["iat"].as_i64().unwrap() - 1));
    let wrong_audience = forged(&|claims| claims["aud"] = json!("another-shop"));
    vec![
        ("nobody", nobody.clone(), "token_missing"),
        ("revoked", revoked, "token_revoked"),
        ("expired", nobody.with_token(&expired), "token_expired"),
        ("for another audience", nobody.with_token(&wrong_audience), "token_invalid"),
        ("unsigned", nobody.with_token(&none), "token_invalid"),
        ("of another algorithm", nobody.with_token(&swapped), "token_invalid"),
        ("of an unknown key", nobody.with_token(&wrong_kid), "token_invalid"),
    ]
}

#[test]
fn every_operation_is_in_the_matrix_and_the_document_says_the_same() {
    for operation in operations() {
        let id = operation.id;
        let open_to = open_to(id).unwrap_or_else(|| panic!("{id} is not in the matrix: who may do it?"));
        assert_eq!(operation.takes_token(), open_to != OpenTo::Everybody, "{id}");
        assert_eq!(operation.names("401", "token_missing"), open_to != OpenTo::Everybody, "{id}");
        // Whose orders are listed is for admins to choose.
        let turns_away = open_to == OpenTo::Admins || id == "listOrders";
        assert_eq!(operation.names("403", "admin_only"), turns_away, "{id}");
        let hides = matches!(open_to, OpenTo::Owner | OpenTo::OwnerAndAdmins);
        assert!(!hides || operation.names("404", "not_found"), "{id}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn no_operation_that_takes_a_token_takes_a_bad_one_and_the_others_do_not_look(pool: PgPool) {
    let api = Environment::new(&pool).api();
    let owner = Caller::customer(&api.url, "owner").await;
    let things = Things::new(&pool, &api, &owner).await;
    let callers = bad_tokens(&api).await;

    for operation in operations() {
        for (what, caller, expected) in &callers {
            let answer = things.ask(&operation, caller).await;
            let (id, text) = (operation.id, &answer.text);
            if operation.takes_token() {
                assert_eq!(code(&answer), (401, *expected), "{id}, {what}: {text}");
                assert_eq!(answer.header("WWW-Authenticate"), Some("Bearer"), "{id}, {what}");
            } else {
                let about_tokens = code(&answer).1.starts_with("token_");
                assert!(!about_tokens && answer.status < 500, "{id}, {what}: {text}");
            }
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn each_operation_is_open_to_those_whom_it_is_for_and_to_nobody_else(pool: PgPool) {
    let api = Environment::new(&pool).api();
    for (n, operation) in operations().into_iter().enumerate() {
        // Anew for each operation: some of them end sessions, orders or products.
        let owner = Caller::customer(&api.url, &format!("owner-{n}")).await;
        let other = Caller::customer(&api.url, &format!("other-{n}")).await;
        let things = Things::new(&pool, &api, &owner).await;
        let admin = Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await;

        let [owner, other, admin] = [
            things.ask(&operation, &owner).await,
            things.ask(&operation, &other).await,
            things.ask(&operation, &admin).await,
        ];

        let id = operation.id;
        let let_in = |answer: &Answer| {
            let (status, code) = code(answer);
            // The password, the login, the refresh token that are sent are wrong on purpose.
            let wrong = matches!(code, "wrong_password" | "wrong_credentials" | "refresh_token_invalid");
            assert!(wrong || status < 500 && !matches!(status, 401 | 403 | 404), "{id}: {}", answer.text);
        };
        let not_there = |answer: &Answer| assert_eq!(code(answer), (404, "not_found"), "{id}: {}", answer.text);
        let turned_away = |answer: &Answer| assert_eq!(code(answer), (403, "admin_only"), "{id}: {}", answer.text);
        match open_to(id).unwrap() {
            OpenTo::Everybody | OpenTo::Users => [&owner, &other, &admin].into_iter().for_each(let_in),
            OpenTo::Owner => {
                let_in(&owner);
                [&other, &admin].into_iter().for_each(not_there);
            }
            OpenTo::OwnerAndAdmins => {
                [&owner, &admin].into_iter().for_each(let_in);
                not_there(&other);
            }
            OpenTo::Admins => {
                [&owner, &other].into_iter().for_each(turned_away);
                let_in(&admin);
            }
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn only_admins_choose_whose_orders_are_listed(pool: PgPool) {
    let api = Environment::new(&pool).api();
    let owner = Caller::customer(&api.url, "owner").await;
    let other = Caller::customer(&api.url, "other").await;
    let things = Things::new(&pool, &api, &owner).await;
    let admin = Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await;
    let of_owner = format!("/orders?user={}", claims(owner.token().unwrap())["sub"].as_str().unwrap());

    assert_eq!(code(&other.get(&of_owner).await), (403, "admin_only"));
    assert_eq!(other.get("/orders").await.json["totalCount"], 0);
    assert_eq!(admin.get(&of_owner).await.json["items"][0]["id"], json!(things.order));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn every_operation_that_can_be_asked_too_often_says_how_often_it_may_be(pool: PgPool) {
    let limits = "{timeout_ms=10000}";
    let api = Environment::new(&pool).with("SHOP_RATE_LIMITS", "on").with("ROCKET_RATE_LIMITS", limits).api();
    let owner = Caller::customer(&api.url, "owner").await;
    let things = Things::new(&pool, &api, &owner).await;
    let admin = Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await;

    for operation in operations() {
        let id = operation.id;
        if matches!(id, "logout" | "logoutAll" | "openSocket") {
            // With the first two there is nobody left to ask the rest; the last one is limited by who knocks.
            continue;
        }
        let answer = things.ask(&operation, &admin).await;
        assert_eq!(answer.header("RateLimit").is_some(), operation.names("429", "rate_limited"), "{id}");
        assert_eq!(answer.header("RateLimit-Policy").is_some(), answer.header("RateLimit").is_some(), "{id}");
        let looked_at = !matches!(id, "live" | "ready" | "metrics");
        assert_eq!(answer.header("RateLimit").is_some(), looked_at, "{id} has no limit");
    }
}
