//! Rate limits over HTTP: who is counted as whom, over several apis, and what the headers say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use reqwest::Method;
use serde_json::{Value, json};
use shop_common::db::MIGRATOR;
use shop_e2e::{Answer, Caller, PASSWORD, read};
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

/// A shop with limits. Tests run on slow machines too, so what they do not test waits for Redis for as long as it takes.
fn limited(pool: &PgPool, limits: &str) -> Environment {
    Environment::new(pool)
        .with("SHOP_RATE_LIMITS", "on")
        .with("ROCKET_RATE_LIMITS", &format!("{{timeout_ms=10000,{limits}}}"))
}

fn assert_limited(answer: &Answer, policy: &str) {
    assert_eq!((answer.status, answer.json["code"].as_str()), (429, Some("rate_limited")), "{}", answer.text);
    let wait = answer.header("retry-after").unwrap();
    assert!(wait.parse::<u64>().unwrap() >= 1);
    let limit = answer.header("ratelimit").unwrap();
    assert!(limit.contains(&format!(r#""{policy}";r=0;t={wait}"#)), "{limit}, Retry-After: {wait}");
}

/// A login as a client behind the proxy sends it.
async fn login(shop: &Caller, from: &str, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    read(shop.request(Method::POST, "/login").header("X-Forwarded-For", from).json(&body).send().await.unwrap()).await
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn all_apis_count_together_and_say_in_every_answer_what_is_left(pool: PgPool) {
    let shop = limited(&pool, "writes={per_minute=1,burst=3}");
    let (one, other) = (shop.api(), shop.api());
    let here = Caller::customer(&one.url, "ada").await;
    let there = here.at(&other.url);

    let mut limits = Vec::new();
    for ada in [&here, &there, &here] {
        let answer = ada.post("/orders", json!({})).await;
        assert_eq!(answer.status, 400, "what is refused for another reason counts too");
        assert_eq!(answer.header("ratelimit-policy"), Some(r#""writes";q=3;w=180"#));
        limits.push(answer.header("ratelimit").unwrap().split(";t=").next().unwrap().to_owned());
    }
    assert_eq!(limits, [r#""writes";r=2"#, r#""writes";r=1"#, r#""writes";r=0"#]);
    for ada in [&here, &there] {
        assert_limited(&ada.post("/orders", json!({})).await, "writes");
        assert_limited(&read(ada.request(Method::POST, "/auth/ws-ticket").send().await.unwrap()).await, "writes");
    }

    let bob = Caller::customer(&one.url, "bob").await;
    assert_eq!(bob.post("/orders", json!({})).await.status, 400, "users are told apart, also at one address");
    let metrics = Caller::nobody(&one.url).get("/metrics").await.text;
    assert!(metrics.contains(r#"shop_rate_limit_decisions_total{group="writes",outcome="refused"} 2"#), "{metrics}");
    assert!(metrics.contains("shop_rate_limits_local 0"), "{metrics}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn reads_are_limited_by_user_or_address_and_health_is_not(pool: PgPool) {
    let api = limited(&pool, "reads={per_minute=1,burst=3}").api();
    let (nobody, ada) = (Caller::nobody(&api.url), Caller::customer(&api.url, "ada").await);

    for path in ["/products", "/products?take=1", "/products/0198a000-0000-7000-8000-000000000000"] {
        let answer = nobody.get(path).await;
        assert_eq!(answer.header("ratelimit-policy"), Some(r#""reads";q=3;w=180"#), "{path}");
        assert!(answer.status == 200 || answer.status == 404);
    }
    assert_limited(&nobody.get("/products").await, "reads");
    for path in ["/orders", "/products", "/orders/0198a000-0000-7000-8000-000000000000"] {
        assert_ne!(ada.get(path).await.status, 429, "{path}");
    }
    assert_limited(&ada.get("/orders").await, "reads");

    for path in ["/livez", "/readyz", "/metrics"] {
        let answer = nobody.get(path).await;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, None), "{path}");
    }
    let page = nobody.request(Method::GET, "/livez").header("Origin", "https://shop.example").send().await.unwrap();
    let exposed = page.headers()["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("RateLimit, RateLimit-Policy"), "{exposed}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_forwarded_address_counts_only_where_a_trusted_proxy_says_it(pool: PgPool) {
    let shop = limited(&pool, "reads={per_minute=1,burst=1}");
    let read_as = async |shop: &Caller, from: &str| {
        read(shop.request(Method::GET, "/products").header("X-Forwarded-For", from).send().await.unwrap()).await.status
    };

    let open = shop.api();
    let stranger = Caller::nobody(&open.url);
    assert_eq!(read_as(&stranger, "198.51.100.1").await, 200);
    assert_eq!(read_as(&stranger, "198.51.100.2").await, 429, "anybody can write a header");

    let behind = shop.with("ROCKET_REQUESTS", r#"{trusted_proxies=["127.0.0.0/8"]}"#).api();
    let proxy = Caller::nobody(&behind.url);
    for (from, status) in [
        ("198.51.100.1", 200),
        ("198.51.100.1", 429),
        ("203.0.113.9, 198.51.100.1", 429),
        ("198.51.100.1, 198.51.100.2", 200),
        ("198.51.100.2, 127.0.0.9", 429),
        ("2001:db8:0:1::1", 200),
        ("2001:db8:0:1:ffff::2", 429),
        ("2001:db8:0:2::1", 200),
        // The proxy itself, which has read already.
        ("nonsense", 429),
    ] {
        assert_eq!(read_as(&proxy, from).await, status, "{from}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_guesses_from_many_addresses_is_stopped_and_the_owner_still_logs_in(pool: PgPool) {
    let limits = "login_account={per_minute=1,burst=2},login_strangers={per_minute=1,burst=5}";
    let shop = limited(&pool, limits).with("ROCKET_REQUESTS", r#"{trusted_proxies=["127.0.0.1/32"]}"#);
    let (one, other) = (shop.api(), shop.api());
    let (one, other) = (Caller::nobody(&one.url), Caller::nobody(&other.url));
    let account = json!({ "email": "ada@example.com", "password": PASSWORD });
    assert_eq!(one.post("/register", account).await.status, 201);
    let home = "192.0.2.1";
    assert_eq!(login(&one, home, "ada@example.com", PASSWORD).await.status, 200);

    // From addresses of which each stays below the limits of one address, at both apis, in several spellings.
    let mut seen: Vec<Vec<(u16, Value, Option<String>)>> = Vec::new();
    for email in ["ada@example.com", "nobody@example.com"] {
        let mut answers = Vec::new();
        for guess in 0..12 {
            let api = if guess % 2 == 0 { &one } else { &other };
            let email = if guess % 3 == 0 { email.to_uppercase() } else { email.to_owned() };
            let answer = login(api, &format!("198.51.100.{guess}"), &email, "Wr0ng-password").await;
            let policy = answer.header("ratelimit-policy").map(str::to_owned);
            answers.push((answer.status, answer.json["code"].clone(), policy));
            if answer.status == 429 {
                assert_limited(&answer, "login-account");
            }
        }
        seen.push(answers);
    }
    let statuses: Vec<u16> = seen[0].iter().map(|(status, ..)| *status).collect();
    // The login of the owner, from what was an unknown address then, was one of the five.
    // The login of the owner, from what was an unknown address then, was one of the five.
    assert_eq!(statuses, [401, 401, 401, 401, 429, 429, 429, 429, 429, 429, 429, 429]);
    let unknown: Vec<u16> = seen[1].iter().map(|(status, ..)| *status).collect();
    assert_eq!(unknown, [401, 401, 401, 401, 401, 429, 429, 429, 429, 429, 429, 429]);
    for (known, unknown) in [(&seen[0][0], &seen[1][0]), (&seen[0][11], &seen[1][11])] {
        assert_eq!(known, unknown, "nothing tells whether there is an account");
    }
    // The right password does not help from a new address: it is not even looked at.
    assert_limited(&login(&other, "203.0.113.7", "ada@example.com", PASSWORD).await, "login-account");

    let owner = login(&other, home, "ada@example.com", PASSWORD).await;
    assert_eq!(owner.status, 200, "{}", owner.text);
    assert!(owner.json["access_token"].is_string());
    // From there too only so often.
    assert_limited(&login(&one, home, "ada@example.com", "Wr0ng-password").await, "login-account");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_is_refused_at_one_address_spends_nothing_of_what_others_share(pool: PgPool) {
    let limits = "login_account={per_minute=1,burst=2},login_strangers={per_minute=1,burst=3}";
    let shop = limited(&pool, limits).with("ROCKET_REQUESTS", r#"{trusted_proxies=["127.0.0.1/32"]}"#).api();
    let shop = Caller::nobody(&shop.url);

    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(login(&shop, "198.51.100.1", "ada@example.com", "x").await.status);
    }
    assert_eq!(statuses, [401, 401, 429, 429, 429, 429]);
    assert_eq!(login(&shop, "198.51.100.2", "ada@example.com", "x").await.status, 401);
    assert_eq!(login(&shop, "198.51.100.3", "ada@example.com", "x").await.status, 429);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn without_redis_each_api_has_limits_of_its_own(pool: PgPool) {
    // Port 9 is nobody's.
    let limits = "login={per_minute=1,burst=9},login_account={per_minute=1,burst=2},reads={per_minute=1,burst=2}";
    let shop = limited(&pool, limits).with("REDIS_URL", "redis://127.0.0.1:9/0");
    for _ in 0..2 {
        let api = shop.api();
        let nobody = Caller::nobody(&api.url);
        let guess = async || nobody.post("/login", json!({ "email": "ada@example.com", "password": "x" })).await;

        let statuses = [guess().await.status, guess().await.status];
        assert_eq!(statuses, [401, 401]);
        assert_limited(&guess().await, "login-account");
        assert_eq!([nobody.get("/products").await.status, nobody.get("/products").await.status], [200, 200]);
        assert_limited(&nobody.get("/products").await, "reads");
        let metrics = nobody.get("/metrics").await.text;
        assert!(metrics.contains("shop_rate_limits_local 1"), "{metrics}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_address_of_the_registration_is_known(pool: PgPool) {
    let limits = "login_account={per_minute=1,burst=9},login_strangers={per_minute=1,burst=2}";
    let shop = limited(&pool, limits).with("ROCKET_REQUESTS", r#"{trusted_proxies=["127.0.0.1/32"]}"#).api();
    let shop = Caller::nobody(&shop.url);
    let home = "192.0.2.1";
    let account = json!({ "email": "ada@example.com", "password": PASSWORD });
    let registered = shop.request(Method::POST, "/register").header("X-Forwarded-For", home).json(&account).send();
    assert_eq!(registered.await.unwrap().status().as_u16(), 201);

    for guess in 0..3 {
        login(&shop, &format!("198.51.100.{guess}"), "ada@example.com", "Wr0ng-password").await;
    }

    assert_limited(&login(&shop, "198.51.100.9", "ada@example.com", PASSWORD).await, "login-account");
    assert_eq!(login(&shop, home, "ada@example.com", PASSWORD).await.status, 200);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_knocks_at_the_sockets_too_often_is_told_so(pool: PgPool) {
    let shop = limited(&pool, "knocks={per_minute=1,burst=1}");
    let (one, other) = (shop.api(), shop.api());
    let knock = async |url: &str| Caller::nobody(url).get("/socket.io/?EIO=4&transport=polling").await;

    let let_in = knock(&one.url).await;
    assert_eq!((let_in.status, let_in.header("ratelimit-policy")), (200, Some(r#""knocks";q=1;w=60"#)));
    assert_limited(&knock(&other.url).await, "knocks");
}
