//! HTTP as it is meant: methods, conditional requests, limits, headers, idempotency, an order's timeline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_common::db::MIGRATOR;
use shop_common::seed;
use shop_e2e::{Answer, Caller, eventually, order, read};
use shop_testkit::binaries::{Api, Environment};
use sqlx::PgPool;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn admin(pool: &PgPool, api: &Api) -> Caller {
    seed::admin(pool, false).await.unwrap();
    Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await
}

/// A new product of which there are so many.
async fn mug(admin: &Caller, stock: i64) -> Answer {
    let created = admin.post("/products", json!({ "name": "Mug", "price": 12.5, "stock": stock })).await;
    assert_eq!(created.status, 201, "{}", created.text);
    created
}

fn id(answer: &Answer) -> String {
    answer.json["id"].as_str().unwrap().to_owned()
}

fn tag(answer: &Answer) -> String {
    answer.header("etag").unwrap_or_else(|| panic!("no tag: {}", answer.text)).to_owned()
}

fn assert_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.json["code"].as_str()), (status, Some(code)), "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}

/// A request without a body.
async fn send(caller: &Caller, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request =
        headers.iter().fold(caller.request(method, path), |request, (name, value)| request.header(*name, *value));
    read(request.send().await.unwrap()).await
}

/// An edit of a product that is meant for certain states of it.
async fn edit(admin: &Caller, path: &str, tag: &str, changes: Value) -> Answer {
    read(admin.request(Method::PUT, path).header("If-Match", tag).json(&changes).send().await.unwrap()).await
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_method_that_an_address_does_not_have_is_answered_with_those_that_it_has(pool: PgPool) {
    let api = Environment::new(&pool).api();
    let nobody = Caller::nobody(&api.url);
    let product = "/products/01890000-0000-7000-8000-000000000000";

    for (method, path, allow) in [
        (Method::DELETE, "/products", "GET, HEAD, POST, OPTIONS"),
        (Method::PATCH, product, "GET, HEAD, PUT, DELETE, OPTIONS"),
        (Method::POST, product, "GET, HEAD, PUT, DELETE, OPTIONS"),
        (Method::TRACE, "/livez", "GET, HEAD, OPTIONS"),
        (Method::GET, "/login", "POST, OPTIONS"),
        (Method::GET, "/orders/7/cancel", "POST, OPTIONS"),
        (Method::PUT, "/socket.io/?EIO=4", "GET, HEAD, POST, OPTIONS"),
    ] {
        let answer = send(&nobody, method.clone(), path, &[]).await;
        assert_problem(&answer, 405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
    let head = send(&nobody, Method::HEAD, "/login", &[]).await;
    assert_eq!((head.status, head.header("allow")), (405, Some("POST, OPTIONS")));

    let head = send(&nobody, Method::HEAD, "/products", &[]).await;
    let get = nobody.get("/products").await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(
        (head.header("etag"), head.header("content-length")),
        (get.header("etag"), get.header("content-length"))
    );

    let unknown = Method::from_bytes(b"BREW").unwrap();
    assert_problem(&send(&nobody, unknown, "/products", &[]).await, 400, "bad_request");
    let options = send(&nobody, Method::OPTIONS, "/products", &[]).await;
    assert_eq!((options.status, options.header("allow")), (204, Some("GET, HEAD, POST, OPTIONS")));
    for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS, Method::TRACE] {
        for path in ["/nothing-here", "/orders/7/nothing", "/"] {
            assert_problem(&send(&nobody, method.clone(), path, &[]).await, 404, "no_route");
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_has_not_changed_is_not_sent_again(pool: PgPool) {
    let api = Environment::new(&pool).api();
    let (admin, ada) = (admin(&pool, &api).await, Caller::customer(&api.url, "ada").await);
    let mug = id(&mug(&admin, 5).await);
    let placed = id(&ada.order(&mug, 1, "test").await);

    let paths = ["/products".to_owned(), format!("/products/{mug}"), "/orders".to_owned()];
    let paths = paths.into_iter().chain([format!("/orders/{placed}"), format!("/orders/{placed}/events")]);
    for path in paths {
        let fresh = ada.get(&path).await;
        assert_eq!(fresh.status, 200, "{path}");
        let strong = tag(&fresh);
        let private = path.starts_with("/orders");
        let caching = if private { "private, no-cache" } else { "no-cache" };
        let varies = |answer: &Answer| -> Vec<String> {
            answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
        };
        for named in [strong.clone(), format!("W/{strong}"), "*".to_owned(), format!("\"other\", W/{strong} ,\"b,c\"")]
        {
            let known = send(&ada, Method::GET, &path, &[("If-None-Match", &named)]).await;
            assert_eq!((known.status, known.text.as_str()), (304, ""), "{path} {named}");
            assert_eq!(tag(&known), strong);
            assert_eq!(known.header("cache-control"), Some(caching), "{path}");
            assert_eq!(varies(&known).contains(&"Authorization".to_owned()), private, "{path}");
            let head = send(&ada, Method::HEAD, &path, &[("If-None-Match", &named)]).await;
            assert_eq!((head.status, head.header("etag")), (304, Some(strong.as_str())));
        }
        let two_lines = [("If-None-Match", "\"other\""), ("If-None-Match", strong.as_str())];
        assert_eq!(send(&ada, Method::GET, &path, &two_lines).await.status, 304, "{path}");
        for other in ["\"other\"", "no tag at all", ""] {
            let sent = send(&ada, Method::GET, &path, &[("If-None-Match", other)]).await;
            assert_eq!((sent.status, &sent.text), (200, &fresh.text), "{path} {other}");
            assert_eq!(sent.header("cache-control"), Some(caching));
        }
    }

    // An order changes what there is to see of the product, of all products, and of the orders.
    let before = [ada.get("/products").await, ada.get(&format!("/products/{mug}")).await, ada.get("/orders").await];
    ada.order(&mug, 1, "test").await;
    for (path, before) in ["/products", &format!("/products/{mug}"), "/orders"].into_iter().zip(&before) {
        let changed = send(&ada, Method::GET, path, &[("If-None-Match", &tag(before))]).await;
        assert_eq!(changed.status, 200, "{path}");
        assert_ne!((&changed.text, tag(&changed)), (&before.text, tag(before)), "{path}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_edit_that_is_meant_for_another_state_is_not_made(pool: PgPool) {
    let api = Environment::new(&pool).api();
    let (admin, ada) = (admin(&pool, &api).await, Caller::customer(&api.url, "ada").await);
    let created = mug(&admin, 5).await;
    let path = format!("/products/{}", id(&created));
    assert_eq!(tag(&created), "\"1-5\"");
    assert_eq!(tag(&ada.get(&path).await), "\"1-5\"");

    let edited = edit(&admin, &path, "\"0-0\", \"1-5\"", json!({ "price": 9 })).await;
    assert_eq!((edited.status, tag(&edited).as_str()), (200, "\"2-5\""));
    assert_eq!(edited.header("cache-control"), Some("no-store"));
    for old in ["\"1-5\"", "W/\"2-5\"", "\"02-5\"", "\"2-4\"", "\"anything\""] {
        assert_problem(&edit(&admin, &path, old, json!({ "price": 1 })).await, 412, "precondition_failed");
        let deleted = send(&admin, Method::DELETE, &path, &[("If-Match", old)]).await;
        assert_problem(&deleted, 412, "precondition_failed");
    }
    for bad in ["2-5", "\"2-5", "*, \"2-5\"", ""] {
        assert_problem(&edit(&admin, &path, bad, json!({ "price": 1 })).await, 400, "invalid_parameter");
        let deleted = send(&admin, Method::DELETE, &path, &[("If-Match", bad)]).await;
        assert_problem(&deleted, 400, "invalid_parameter");
    }
    assert_eq!(ada.get(&path).await.json["price"], 9, "nothing of that was done");

    // An order in between: what the editor has seen is not so any more, though nobody has edited anything.
    assert_eq!(ada.order(&id(&created), 1, "test").await.status, 201);
    assert_problem(&edit(&admin, &path, "\"2-5\"", json!({ "stock": 10 })).await, 412, "precondition_failed");
    assert_eq!(ada.get(&path).await.json["stock"], 4);
    assert_eq!(tag(&edit(&admin, &path, "\"2-4\"", json!({ "stock": 10 })).await), "\"3-10\"");
    assert_eq!(tag(&edit(&admin, &path, "*", json!({})).await), "\"4-10\"");

    assert_eq!(send(&admin, Method::DELETE, &path, &[("If-Match", "\"4-10\"")]).await.status, 204);
    assert_problem(&edit(&admin, &path, "\"4-10\"", json!({ "price": 1 })).await, 404, "not_found");
    assert_problem(&send(&admin, Method::DELETE, &path, &[("If-Match", "*")]).await, 404, "not_found");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn of_many_edits_with_one_tag_over_two_apis_exactly_one_is_made(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (one, other) = (shop.api(), shop.api());
    let admin = admin(&pool, &one).await;
    let created = mug(&admin, 5).await;
    let path = format!("/products/{}", id(&created));
    let admins = [admin.at(&one.url), admin.at(&other.url)];

    for round in 0..5 {
        let seen = tag(&admin.get(&path).await);
        let edits = (0..10).map(|n| edit(&admins[n % 2], &path, &seen, json!({ "price": 100 * round + n + 1 })));
        let answers = join_all(edits).await;

        let made: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(made.len(), 1);
        answers
            .iter()
            .filter(|answer| answer.status != 200)
            .for_each(|a| assert_problem(a, 412, "precondition_failed"));
        let made = made[0].text.as_str();
        eventually("the api shows what was made at either", async || admin.get(&path).await.text == made).await;
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn each_limit_has_a_code_of_its_own(pool: PgPool) {
    let api = Environment::new(&pool).api();
    let (admin, ada) = (admin(&pool, &api).await, Caller::customer(&api.url, "ada").await);
    let mug = id(&mug(&admin, 5).await);
    let item = |product: &str, quantity: Value| json!({ "productId": product, "quantity": quantity });
    let cart = |items: Vec<Value>| json!({ "items": items });
    let product = |n: usize| format!("01890000-0000-7000-8000-{n:012}");

    for quantity in
        [json!(0), json!(-1), json!(1_000_001), json!(1.5), json!("1"), json!(null), json!([1]), json!(1e30)]
    {
        let answer = ada.post("/orders", cart(vec![item(&mug, quantity.clone())])).await;
        assert_problem(&answer, 400, "invalid_quantity");
    }
    let sum = cart(vec![item(&mug, json!(1_000_000)), item(&mug, json!(1))]);
    assert_problem(&ada.post("/orders", sum).await, 400, "invalid_quantity");

    let many = |n| cart((0..n).map(|n| item(&product(n), json!(1))).collect());
    assert_problem(&ada.post("/orders", many(1001)).await, 400, "too_many_items");
    assert_problem(&ada.post("/orders", many(1000)).await, 422, "unknown_product");

    let raw = async |body: String| {
        let request = ada.request(Method::POST, "/orders").header("Content-Type", "application/json");
        read(request.body(body).send().await.unwrap()).await
    };
    let nested = |depth: usize| format!("{{\"items\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert_problem(&raw(nested(32)).await, 400, "invalid_body");
    assert_problem(&raw(nested(33)).await, 400, "nesting_too_deep");
    assert_problem(&raw("[".repeat(200_000)).await, 400, "nesting_too_deep");
    assert_problem(&raw(format!("{{\"items\":\"{}\"}}", "[".repeat(1000))).await, 400, "invalid_body");
    assert_problem(&raw("[".repeat(300_000)).await, 413, "body_too_large");

    let large = "x".repeat(15 * 1024);
    assert_eq!(send(&ada, Method::GET, "/products", &[("X-Large", &large)]).await.status, 200);
    let larger = send(&ada, Method::GET, "/products", &[("X-Large", &large), ("X-Larger", &"x".repeat(2048))]).await;
    assert_problem(&larger, 431, "headers_too_large");
    for method in [Method::POST, Method::OPTIONS] {
        let larger = send(&ada, method, "/orders", &[("X-Large", &"x".repeat(20_000))]).await;
        assert_problem(&larger, 431, "headers_too_large");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn too_many_headers_are_refused_below_the_shop_without_a_body(pool: PgPool) {
    let api = Environment::new(&pool).api();
    let mut socket = TcpStream::connect(api.url.trim_start_matches("http://")).await.unwrap();
    let many: String = (0..101).map(|n| format!("X-{n}: 1\r\n")).collect();
    socket.write_all(format!("GET /livez HTTP/1.1\r\nHost: shop\r\n{many}\r\n").as_bytes()).await.unwrap();

    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();

    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("content-length: 0"), "{answer}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn every_answer_says_what_browsers_and_caches_must_not_make_of_it(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, closed) = (shop.api(), shop.clone().with("ROCKET_LIVE", "{origins=[\"https://shop.example\"]}").api());
    let (admin, ada) = (admin(&pool, &api).await, Caller::customer(&api.url, "ada").await);
    let mug = id(&mug(&admin, 5).await);
    let nobody = Caller::nobody(&api.url);
    let login = json!({ "email": "ada@example.com", "password": shop_e2e::PASSWORD });

    let stored = [
        nobody.post("/login", login).await,
        read(ada.request(Method::POST, "/auth/ws-ticket").send().await.unwrap()).await,
        ada.order(&mug, 1, "test").await,
        nobody.get("/orders").await,
        nobody.get("/nothing-here").await,
        nobody.delete("/products").await,
        nobody.get("/metrics").await,
        nobody.get("/readyz").await,
        send(&nobody, Method::OPTIONS, "/products", &[]).await,
        send(&nobody, Method::GET, "/products", &[("X-Large", &"x".repeat(20_000))]).await,
    ];
    let kept = [nobody.get("/products").await, ada.get("/orders").await];
    let unchanged = send(&ada, Method::GET, "/orders", &[("If-None-Match", &tag(&kept[1]))]).await;
    assert_eq!(unchanged.status, 304);

    for answer in &stored {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{}", answer.text);
    }
    for answer in stored.iter().chain(&kept).chain([&unchanged]) {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "cross-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name} of {}", answer.text);
        }
        for absent in ["server", "strict-transport-security", "x-powered-by"] {
            assert_eq!(answer.header(absent), None);
        }
    }
    let closed = Caller::nobody(&closed.url).get("/products").await;
    assert_eq!(closed.header("cross-origin-resource-policy"), Some("same-origin"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_timeline_of_an_order_tells_every_status_attempt_and_reason(pool: PgPool) {
    let shop = Environment::new(&pool).with("ROCKET_JOBS", "{base_ms=20}");
    let api = shop.api();
    let (admin, ada) = (admin(&pool, &api).await, Caller::customer(&api.url, "ada").await);
    let bob = Caller::customer(&api.url, "bob").await;
    let mug = id(&mug(&admin, 9).await);
    let first = id(&ada.order(&mug, 1, "pm_sim_success").await);
    let placed = id(&ada.order(&mug, 1, "pm_sim_decline_1_then_success").await);
    let failed = id(&ada.order(&mug, 1, "pm_sim_decline_card_declined").await);
    let _worker = shop.worker();
    for (order, status) in [(&first, "COMPLETED"), (&placed, "COMPLETED"), (&failed, "FAILED")] {
        ada.order_becomes(order, status).await;
    }

    let path = format!("/orders/{placed}/events");
    let all = ada.get(&path).await;
    let items = all.json["items"].as_array().unwrap().clone();
    let told: Vec<(&str, &str)> =
        items.iter().map(|item| (item["type"].as_str().unwrap(), item["status"].as_str().unwrap())).collect();
    assert_eq!(
        told.iter().filter(|(kind, _)| *kind == "order.status").map(|(_, status)| *status).collect::<Vec<_>>(),
        ["PENDING", "PROCESSING", "COMPLETED"],
        "{}",
        all.text
    );
    let payments: Vec<&Value> = items.iter().filter(|item| item["type"] == "payment.status").collect();
    let (declined, approved) = (payments[payments.len() - 2], payments[payments.len() - 1]);
    assert_eq!((&declined["status"], &declined["attempt"]), (&json!("PENDING"), &json!(1)), "{}", all.text);
    assert!(declined["error"].is_string() && declined["nextAttemptAt"].is_string(), "{}", all.text);
    assert_eq!((&approved["status"], &approved["attempt"]), (&json!("COMPLETED"), &json!(2)));
    assert_eq!((&approved["error"], &approved["nextAttemptAt"]), (&Value::Null, &Value::Null));
    let fields = |item: &Value| item.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&items[0]), ["at", "seq", "status", "type"]);
    assert_eq!(fields(approved), ["at", "attempt", "error", "nextAttemptAt", "seq", "status", "type"]);
    assert_eq!(all.json["hasNextPage"], false);

    let mut paged = Vec::new();
    let mut after = 0;
    loop {
        let page = ada.get(&format!("{path}?take=2&after={after}")).await;
        let part = page.json["items"].as_array().unwrap().clone();
        assert!(part.len() <= 2 && !part.is_empty());
        after = part.last().unwrap()["seq"].as_i64().unwrap();
        paged.extend(part);
        if page.json["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(paged, items);
    assert_eq!(ada.get(&format!("{path}?after={after}")).await.json, json!({ "items": [], "hasNextPage": false }));

    let why = ada.get(&format!("/orders/{failed}/events")).await;
    assert!(why.text.contains("card_declined"), "{}", why.text);
    assert_eq!(admin.get(&path).await.text, all.text);
    assert_problem(&bob.get(&path).await, 404, "not_found");
    assert_problem(&admin.get("/orders/01890000-0000-7000-8000-000000000000/events").await, 404, "not_found");
    assert_problem(&Caller::nobody(&api.url).get(&path).await, 401, "token_missing");
    for query in ["take=0", "take=101", "take=x", "after=-1", "after=x"] {
        assert_problem(&ada.get(&format!("{path}?{query}")).await, 400, "invalid_parameter");
    }
}

/// What `POST /orders` with that key and order is answered.
async fn place(caller: &Caller, key: &str, product: &str, quantity: i64) -> Answer {
    let request = caller.request(Method::POST, "/orders").header("Idempotency-Key", key);
    read(request.json(&order(product, quantity, "test")).send().await.unwrap()).await
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn fifty_parallel_requests_with_one_key_make_one_order_while_redis_is_away(pool: PgPool) {
    let shop = Environment::new(&pool).with("REDIS_URL", "redis://127.0.0.1:9/0");
    let (one, other) = (shop.api(), shop.api());
    let admin = admin(&pool, &one).await;
    let mug = id(&mug(&admin, 100).await);
    let ada = Caller::customer(&one.url, "ada").await;
    let callers = [ada.at(&one.url), ada.at(&other.url)];

    let answers = join_all((0..50).map(|n| place(&callers[n % 2], "cart-7", &mug, 1))).await;

    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (201, &answers[0].text));
    }
    assert_eq!(answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count(), 1);
    assert_eq!(ada.get("/orders").await.json["totalCount"], 1);
    assert_eq!(ada.get(&format!("/products/{mug}")).await.json["stock"], 99);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_key_is_its_users_is_bare_or_quoted_and_has_255_bytes_at_most(pool: PgPool) {
    let api = Environment::new(&pool).api();
    let (admin, ada) = (admin(&pool, &api).await, Caller::customer(&api.url, "ada").await);
    let bob = Caller::customer(&api.url, "bob").await;
    let mug = id(&mug(&admin, 100).await);
    let longest = "k".repeat(255);

    let first = place(&ada, &longest, &mug, 1).await;
    let quoted = place(&ada, &format!("\"{longest}\""), &mug, 1).await;
    assert_eq!((first.status, quoted.status, &quoted.text), (201, 201, &first.text));
    assert_eq!(quoted.header("idempotency-replayed"), Some("true"));
    for bad in ["", "\"\"", &format!("{longest}k"), &format!("\"{longest}k\"")] {
        assert_problem(&place(&ada, bad, &mug, 1).await, 400, "invalid_parameter");
    }
    let twice = ada.request(Method::POST, "/orders").header("Idempotency-Key", "a").header("Idempotency-Key", "b");
    let twice = read(twice.json(&order(&mug, 1, "test")).send().await.unwrap()).await;
    assert_problem(&twice, 400, "invalid_parameter");

    let of_bob = place(&bob, &longest, &mug, 2).await;
    assert_eq!((of_bob.status, of_bob.header("idempotency-replayed")), (201, None));
    assert_ne!(id(&of_bob), id(&first));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_answer_that_the_shop_could_not_give_is_not_kept_under_a_key(pool: PgPool) {
    let api = Environment::new(&pool).api();
    let (admin, ada) = (admin(&pool, &api).await, Caller::customer(&api.url, "ada").await);
    let mug = id(&mug(&admin, 5).await);
    // Somebody holds the product for longer than an order waits.
    let mut held = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM products FOR UPDATE").execute(&mut *held).await.unwrap();
    let busy = place(&ada, "cart-7", &mug, 1).await;
    held.rollback().await.unwrap();

    let placed = place(&ada, "cart-7", &mug, 1).await;
    let again = place(&ada, "cart-7", &mug, 1).await;

    assert_problem(&busy, 503, "overloaded");
    assert_eq!((placed.status, placed.header("idempotency-replayed")), (201, None));
    assert_eq!((again.status, again.text), (201, placed.text));
    // Nor what was refused before it was looked at: the same key is still good for the order as it was meant.
    let refused =
        ada.request(Method::POST, "/orders").header("Idempotency-Key", "cart-8").json(&json!({ "items": [] }));
    assert_problem(&read(refused.send().await.unwrap()).await, 400, "invalid_body");
    assert_eq!(place(&ada, "cart-8", &mug, 1).await.status, 201);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_parameter_that_is_twice_in_the_query_is_refused_and_not_ignored(pool: PgPool) {
    let api = Environment::new(&pool).api();
    let admin = admin(&pool, &api).await;
    let order = "/orders/01890000-0000-7000-8000-000000000000";

    for (path, name) in [
        ("/products?take=1&take=2", "take"),
        ("/products?minPrice=5&q=mug&%6DinPrice=5", "minPrice"),
        ("/products?inStock=true&inStock[0]=true", "inStock"),
        ("/orders?user=ada&user=bob", "user"),
        ("/stock/01890000-0000-7000-8000-000000000000/movements?take=1&take=1", "take"),
        (&format!("{order}/events?after=1&after=2"), "after"),
        ("/products?%3Cb%3E=1&%3Cb%3E=2", "a parameter"),
    ] {
        let answer = admin.get(path).await;
        assert_problem(&answer, 400, "invalid_parameter");
        assert_eq!(answer.json["detail"], format!("query: {name} is there twice"), "{path}");
    }
    assert_eq!(admin.get("/products?take=1&skip=0&x=1").await.status, 200);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_whole_number_may_be_written_with_a_point(pool: PgPool) {
    let api = Environment::new(&pool).api();
    let admin = admin(&pool, &api).await;

    let mug = admin.post("/products", json!({ "name": "Mug", "price": 12.5, "stock": 10.0 })).await;
    assert_eq!((mug.status, &mug.json["stock"]), (201, &json!(10)), "{}", mug.text);
    let cart = |quantity: Value| json!({ "items": [{ "productId": id(&mug), "quantity": quantity }] });
    let placed = admin.post("/orders", cart(json!(2.0))).await;
    assert_eq!((placed.status, &placed.json["orderItems"][0]["quantity"]), (201, &json!(2)), "{}", placed.text);
    assert_problem(&admin.post("/orders", cart(json!(2.5))).await, 400, "invalid_quantity");
    let half = admin.post("/products", json!({ "name": "Mug", "price": 12.5, "stock": 0.5 })).await;
    assert_problem(&half, 400, "invalid_body");
}
