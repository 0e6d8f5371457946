//! Tokens, keys, sessions and passwords, with the real programs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use futures::StreamExt;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_common::db::MIGRATOR;
use shop_common::users::signing_keys::LEAD;
use shop_e2e::{Answer, Caller, PASSWORD, eventually, read};
use shop_testkit::binaries::{Api, Environment};
use sqlx::PgPool;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const EMAIL: &str = "ada@example.com";

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.json["code"].as_str().unwrap_or_default())
}

/// Somebody with both tokens.
struct Session {
    caller: Caller,
    refresh_token: String,
}

impl Session {
    fn of(url: &str, answer: &Answer) -> Self {
        let token = |name: &str| answer.json[name].as_str().expect(&answer.text).to_owned();
        Self { caller: Caller::nobody(url).with_token(&token("access_token")), refresh_token: token("refresh_token") }
    }

    async fn registered(url: &str) -> Self {
        let answer = Caller::nobody(url).post("/register", json!({ "email": EMAIL, "password": PASSWORD })).await;
        Self::of(url, &answer)
    }

    async fn login(url: &str) -> Self {
        Self::of(url, &login(url, PASSWORD).await)
    }

    /// Uses the refresh token.
    async fn refresh(&self, url: &str) -> Answer {
        Caller::nobody(url).post("/auth/refresh", json!({ "refresh_token": self.refresh_token })).await
    }

    async fn post(&self, path: &str) -> Answer {
        read(self.caller.request(Method::POST, path).send().await.unwrap()).await
    }

    /// The code with which a socket of `/ws` is closed, once it is.
    async fn socket(&self, api: &Api) -> impl Future<Output = u16> {
        let mut request = format!("{}/ws", api.url.replace("http", "ws")).into_client_request().unwrap();
        let token = self.caller.token().unwrap();
        request.headers_mut().insert("Authorization", format!("Bearer {token}").parse().unwrap());
        let (mut socket, _) = connect_async(request).await.unwrap();
        async move {
            loop {
                match socket.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.unwrap().code.into(),
                    Some(Ok(_)) => {}
                    other => panic!("the connection broke: {other:?}"),
                }
            }
        }
    }

    /// Waits until an api refuses the token, which must not take longer than two looks.
    async fn is_revoked(&self, url: &str) {
        let (caller, begun) = (self.caller.at(url), Instant::now());
        eventually("the token is revoked", async || code(&caller.get("/orders").await) == (401, "token_revoked")).await;
        assert!(begun.elapsed() < Duration::from_secs(4), "it took {:?}", begun.elapsed());
    }
}

async fn login(url: &str, password: &str) -> Answer {
    Caller::nobody(url).post("/login", json!({ "email": EMAIL, "password": password })).await
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_login_gives_a_pair_of_tokens_that_no_cache_keeps_and_a_refresh_the_next_one(pool: PgPool) {
    let api = Environment::new(&pool).api();
    Session::registered(&api.url).await;

    let answer = login(&api.url, PASSWORD).await;

    assert!(answer.text.starts_with(r#"{"access_token":""#), "clients of the reference look for it first");
    assert_eq!((&answer.json["token_type"], &answer.json["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let first = Session::of(&api.url, &answer);
    let answer = first.refresh(&api.url).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{}", answer.text);
    let second = Session::of(&api.url, &answer);
    assert_eq!(first.caller.get("/orders").await.status, 200, "the first access token goes on until it expires");
    assert_eq!(second.caller.get("/orders").await.status, 200);

    let me = second.caller.get("/auth/me").await;
    let mut fields: Vec<&str> = me.json.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["createdAt", "email", "id", "name", "role"]);
    assert_eq!(
        (&me.json["email"], &me.json["role"], &me.json["name"]),
        (&json!(EMAIL), &json!("CLIENT"), &Value::Null)
    );
    assert_eq!(code(&Caller::nobody(&api.url).get("/auth/me").await), (401, "token_missing"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refresh_token_that_is_used_twice_ends_its_session_everywhere_and_no_other(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, other_api) = (shop.api(), shop.api());
    let stolen = Session::registered(&api.url).await;
    let other = Session::login(&api.url).await;
    let next = Session::of(&api.url, &stolen.refresh(&other_api.url).await);
    let socket = next.socket(&other_api).await;

    assert_eq!(code(&stolen.refresh(&api.url).await), (401, "refresh_token_reused"));

    assert_eq!(code(&next.caller.get("/orders").await), (401, "token_revoked"), "this api knows it at once");
    next.is_revoked(&other_api.url).await;
    assert_eq!(socket.await, 4401);
    assert_eq!(code(&next.refresh(&api.url).await), (401, "refresh_token_invalid"));
    assert_eq!(other.caller.get("/orders").await.status, 200);
    assert_eq!(other.refresh(&other_api.url).await.status, 200);
    let unknown = Caller::nobody(&api.url).post("/auth/refresh", json!({ "refresh_token": "guessed" })).await;
    assert_eq!(code(&unknown), (401, "refresh_token_invalid"));
    assert_eq!(unknown.header("www-authenticate"), Some("Bearer"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn of_many_refreshes_with_one_token_over_two_apis_one_wins_at_most(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, other_api) = (shop.api(), shop.api());
    let session = Session::registered(&api.url).await;

    let answers = join_all((0..20).map(|n| session.refresh(if n % 2 == 0 { &api.url } else { &other_api.url }))).await;

    let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(won.len(), 1);
    assert!(answers.iter().all(|a| a.status == 200 || code(a) == (401, "refresh_token_reused")));
    assert_eq!(code(&Session::of(&api.url, won[0]).refresh(&api.url).await), (401, "refresh_token_invalid"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_logout_ends_its_own_session_and_logout_all_every_one(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, other_api) = (shop.api(), shop.api());
    let phone = Session::registered(&api.url).await;
    let (laptop, tablet) = (Session::login(&api.url).await, Session::login(&other_api.url).await);
    let phones = phone.socket(&other_api).await;
    let laptops = laptop.socket(&other_api).await;

    assert_eq!(phone.post("/auth/logout").await.status, 204);

    assert_eq!(code(&phone.post("/auth/logout").await), (401, "token_revoked"));
    assert_eq!(code(&phone.refresh(&api.url).await), (401, "refresh_token_invalid"));
    phone.is_revoked(&other_api.url).await;
    assert_eq!(phones.await, 4401);
    let laptop_next = Session::of(&api.url, &laptop.refresh(&api.url).await);

    assert_eq!(tablet.post("/auth/logout-all").await.status, 204);

    for session in [&laptop, &laptop_next, &tablet] {
        session.is_revoked(&api.url).await;
        session.is_revoked(&other_api.url).await;
    }
    assert_eq!(laptops.await, 4401);
    assert_eq!(code(&laptop_next.refresh(&api.url).await), (401, "refresh_token_invalid"));
    // An api that starts now knows of both before it answers anybody.
    let late = shop.api();
    for session in [&phone, &tablet] {
        assert_eq!(code(&session.caller.at(&late.url).get("/orders").await), (401, "token_revoked"));
    }
    assert_eq!(Session::login(&late.url).await.caller.get("/orders").await.status, 200);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_operator_who_revokes_a_user_ends_their_sessions_too(pool: PgPool) {
    let shop = Environment::new(&pool);
    let api = shop.api();
    let session = Session::registered(&api.url).await;

    assert!(shop.command("shopctl").args(["users", "revoke", EMAIL]).output().unwrap().status.success());

    assert_eq!(code(&session.refresh(&api.url).await), (401, "refresh_token_invalid"));
    session.is_revoked(&api.url).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn another_password_needs_the_present_one_must_be_good_and_ends_all_else(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, other_api) = (shop.api(), shop.api());
    let (thief, ada) = (Session::registered(&api.url).await, Session::login(&api.url).await);
    let change = async |current: &str, new: &str| {
        ada.caller.post("/auth/password", json!({ "current_password": current, "new_password": new })).await
    };

    assert_eq!(code(&change("Wr0ng-password", "An0ther-battery-staple").await), (403, "wrong_password"));
    for bad in [PASSWORD, "short", "P@ssw0rd1", "Ada@example.com1"] {
        let refused = change(PASSWORD, bad).await;
        assert_eq!(code(&refused), (400, "invalid_body"));
        assert!(refused.json["detail"].as_str().unwrap().starts_with("new_password: "), "{}", refused.text);
    }
    assert_eq!(ada.caller.get("/orders").await.status, 200, "nothing was changed");
    let changed = change(PASSWORD, "An0ther-battery-staple").await;

    assert_eq!(changed.status, 200, "{}", changed.text);
    let fresh = Session::of(&api.url, &changed);
    for old in [&thief, &ada] {
        assert_eq!(code(&old.refresh(&api.url).await), (401, "refresh_token_invalid"));
        assert_eq!(code(&old.caller.get("/orders").await), (401, "token_revoked"));
        old.is_revoked(&other_api.url).await;
    }
    assert_eq!(fresh.caller.at(&other_api.url).get("/orders").await.status, 200);
    assert_eq!(fresh.refresh(&other_api.url).await.status, 200);
    assert_eq!(code(&login(&api.url, PASSWORD).await), (401, "wrong_credentials"));
    assert_eq!(login(&api.url, "An0ther-battery-staple").await.status, 200);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_hash_of_earlier_parameters_is_replaced_at_the_next_login(pool: PgPool) {
    let api = Environment::new(&pool).api();
    Session::registered(&api.url).await;
    let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(1024, 1, 1, None).unwrap());
    let cheap = cheap.hash_password(PASSWORD.as_bytes()).unwrap().to_string();
    sqlx::query("UPDATE users SET password_hash = $1").bind(&cheap).execute(&pool).await.unwrap();
    let kept =
        async || -> String { sqlx::query_scalar("SELECT password_hash FROM users").fetch_one(&pool).await.unwrap() };

    assert_eq!(code(&login(&api.url, "Wr0ng-password").await), (401, "wrong_credentials"));
    assert_eq!(kept().await, cheap);
    let logins = join_all((0..4).map(|_| login(&api.url, PASSWORD))).await;

    assert!(logins.iter().all(|answer| answer.status == 200));
    let dear = kept().await;
    assert!(dear.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{dear}");
    assert_eq!(login(&api.url, PASSWORD).await.status, 200);
    assert_eq!(kept().await, dear);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_login_does_the_same_work_for_a_wrong_password_and_an_unknown_email(pool: PgPool) {
    let api = Environment::new(&pool).api();
    Session::registered(&api.url).await;
    let nobody = Caller::nobody(&api.url);
    let hashings = async || -> u32 {
        let metrics = nobody.get("/metrics").await.text;
        let line = metrics.lines().find(|line| line.starts_with("shop_password_hash_duration_seconds_count ")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let mut work = Vec::new();
    for email in [EMAIL, "nobody@example.com", "no email"] {
        let before = hashings().await;
        for _ in 0..3 {
            let answer = nobody.post("/login", json!({ "email": email, "password": "Wr0ng-password" })).await;
            assert_eq!(code(&answer), (401, "wrong_credentials"));
        }
        work.push(hashings().await - before);
    }
    assert_eq!(work, [3, 3, 3]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn common_passwords_are_refused_at_the_door(pool: PgPool) {
    let api = Environment::new(&pool).api();
    for common in ["P@ssw0rd1", "Qwerty123!", "Ada@example.com1"] {
        let answer = Caller::nobody(&api.url).post("/register", json!({ "email": EMAIL, "password": common })).await;
        assert_eq!(code(&answer), (400, "invalid_body"));
        assert!(answer.json["detail"].as_str().unwrap().contains("too easy to guess"), "{}", answer.text);
    }
}

/// The name of the key in a token.
fn kid(token: &str) -> String {
    let header = token.split('.').next().unwrap();
    let header = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn keys_are_rotated_and_retired_under_load_without_refusing_anybody(pool: PgPool) {
    let shop = Environment::new(&pool);
    let apis = [shop.api(), shop.api()];
    let urls = [apis[0].url.as_str(), apis[1].url.as_str()];
    let shopctl = |arguments: &[&str]| {
        let output = shop.command("shopctl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let first = Session::registered(urls[0]).await;
    let old = kid(first.caller.token().unwrap());
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));

    // Each customer asks both apis all the time, and refreshes now here, now there.
    let customer = async |mut session: Session| {
        for turn in 0.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            if turn % 5 == 4 {
                let answer = session.refresh(urls[turn / 5 % 2]).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                session = Session::of(urls[0], &answer);
            }
            for url in urls {
                let answer = session.caller.at(url).get("/orders").await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                asked.fetch_add(1, Ordering::Relaxed);
            }
        }
        session
    };
    let operator = async || {
        let new = shopctl(&["keys", "rotate", "-o", "json"])["kid"].as_str().unwrap().to_owned();
        let too_soon = shop.command("shopctl").args(["keys", "rotate"]).output().unwrap();
        assert_eq!(too_soon.status.code(), Some(5), "a third key at once");
        assert_eq!(shop.command("shopctl").args(["keys", "retire", &old]).output().unwrap().status.code(), Some(5));
        for url in urls {
            eventually("an api signs with the new key", async || {
                kid(Session::login(url).await.caller.token().unwrap()) == new
            })
            .await;
        }
        // All customers refresh a few times meanwhile.
        let enough = asked.load(Ordering::Relaxed) + 400;
        eventually("all have newer tokens", async || asked.load(Ordering::Relaxed) > enough).await;
        assert_eq!(shopctl(&["keys", "retire", &old, "-o", "json"])["state"], "retired");
        let enough = asked.load(Ordering::Relaxed) + 400;
        eventually("it went on for a while", async || asked.load(Ordering::Relaxed) > enough).await;
        over.store(true, Ordering::Relaxed);
        new
    };
    let customers = join_all((0..4).map(async |_| customer(Session::login(urls[0]).await).await));
    let (customers, new) = futures::join!(customers, operator());

    assert!(customers.iter().all(|customer| kid(customer.caller.token().unwrap()) == new));
    let states: Vec<_> =
        shopctl(&["keys", "list", "-o", "json"]).as_array().unwrap().iter().map(|k| k["state"].clone()).collect();
    assert_eq!(states, ["signs", "retired"]);
    for url in urls {
        let stale = first.caller.at(url);
        eventually("a token of the retired key is refused", async || {
            code(&stale.get("/orders").await) == (401, "token_invalid")
        })
        .await;
    }
    assert_eq!(first.refresh(urls[1]).await.status, 200, "a refresh token hangs on no key");
    assert!(LEAD >= Duration::from_secs(2), "longer than it takes all apis to look");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn apis_that_start_together_on_a_new_shop_sign_with_one_key(pool: PgPool) {
    let shop = Environment::new(&pool);
    let apis = [shop.api(), shop.api(), shop.api()];
    let first = Session::registered(&apis[0].url).await;
    for api in &apis {
        let session = Session::login(&api.url).await;
        assert_eq!(kid(session.caller.token().unwrap()), kid(first.caller.token().unwrap()));
        assert_eq!(first.caller.at(&api.url).get("/orders").await.status, 200);
    }
}
