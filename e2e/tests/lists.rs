//! Lists over HTTP: cursors and links, filters and search, and who may see what.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use shop_common::db::MIGRATOR;
use shop_common::seed;
use shop_e2e::{Answer, Caller};
use shop_testkit::binaries::{Api, Environment};
use sqlx::PgPool;

async fn shop(pool: &PgPool) -> (Api, Caller, Caller) {
    let api = Environment::new(pool).api();
    seed::admin(pool, false).await.unwrap();
    let admin = Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await;
    let ada = Caller::customer(&api.url, "ada").await;
    (api, admin, ada)
}

async fn product(admin: &Caller, name: &str, description: &str, price: f64, stock: i64) -> String {
    let body = json!({ "name": name, "description": description, "price": price, "stock": stock });
    let created = admin.post("/products", body).await;
    assert_eq!(created.status, 201, "{}", created.text);
    created.json["id"].as_str().unwrap().to_owned()
}

fn assert_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.json["code"].as_str()), (status, Some(code)), "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}

fn column(answer: &Answer, field: &str) -> Vec<Value> {
    answer.json["items"].as_array().expect(&answer.text).iter().map(|item| item[field].clone()).collect()
}

/// Where the `Link` to the next page leads.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    Some(link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned())
}

/// All pages, each by the link of the one before.
async fn follow(caller: &Caller, path: &str, field: &str) -> Vec<Value> {
    let (mut path, mut all) = (path.to_owned(), Vec::new());
    loop {
        let page = caller.get(&path).await;
        assert_eq!(page.status, 200, "{path} {}", page.text);
        all.extend(column(&page, field));
        assert_eq!(page.json["hasNextPage"], page.json["nextCursor"].is_string());
        let Some(link) = next(&page) else { return all };
        assert!(link.ends_with(&format!("after={}", page.json["nextCursor"].as_str().unwrap())), "{link}");
        path = link;
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn links_lead_through_a_list_with_its_query(pool: PgPool) {
    let (api, admin, _) = shop(&pool).await;
    let nobody = Caller::nobody(&api.url);
    for n in 0..11 {
        product(&admin, &format!("Mug {n:02} & Söhne"), "", f64::from(n % 3 + 1), i64::from(n % 2)).await;
    }

    let prices = follow(&nobody, "/products?take=2&orderBy=price&order=desc", "price").await;
    assert_eq!(prices, [3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1].map(Value::from));
    let names = follow(&nobody, "/products?q=S%C3%B6hne%20%26%20mug&inStock=true&take=2&x=a%3Eb&skip=1", "name").await;
    assert_eq!(names.len(), 4);
    let dear = follow(&nobody, "/products?minPrice=1.5&maxPrice=2e0&take=3", "price").await;
    assert_eq!(dear, [2, 2, 2, 2].map(Value::from));

    let whole = nobody.get("/products?take=100").await;
    let mut fields: Vec<&str> = whole.json.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["hasNextPage", "items", "totalCount"], "nothing is new where there is no next page");
    assert_eq!((whole.header("link"), &whole.json["totalCount"]), (None, &json!(11)));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_cursor_of_another_list_order_or_filter_is_refused(pool: PgPool) {
    let (_api, admin, ada) = shop(&pool).await;
    for n in 0..3 {
        product(&admin, &format!("Mug {n}"), "", 1.0, 5).await;
    }
    let first = ada.get("/products?take=1&orderBy=name").await;
    let cursor = first.json["nextCursor"].as_str().unwrap();

    let second = ada.get(&format!("/products?take=1&orderBy=name&after={cursor}")).await;
    assert_eq!(column(&second, "name"), ["Mug 1"]);
    for other in [
        format!("/products?after={cursor}"),
        format!("/products?orderBy=name&order=desc&after={cursor}"),
        format!("/products?orderBy=name&inStock=true&after={cursor}"),
        format!("/products?orderBy=name&q=mug&after={cursor}"),
        format!("/products?q=mug&after={cursor}"),
        format!("/orders?after={cursor}"),
        "/products?after=".to_owned(),
        "/products?after=garbage%00".to_owned(),
        format!("/orders?after={}", "A".repeat(3000)),
    ] {
        let answer = ada.get(&other).await;
        assert_problem(&answer, 400, "invalid_cursor");
        assert!(answer.json["detail"].as_str().unwrap().contains("start again without"), "{}", answer.text);
    }
    let both = ada.get(&format!("/products?skip=0&orderBy=name&after={cursor}")).await;
    assert_problem(&both, 400, "invalid_parameter");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn products_are_searched_best_match_first(pool: PgPool) {
    let (api, admin, _) = shop(&pool).await;
    let nobody = Caller::nobody(&api.url);
    product(&admin, "Tea towel", "Goes with the enamel mug.", 8.9, 1).await;
    product(&admin, "Enamel mug", "White.", 12.5, 0).await;
    product(&admin, "Spoon", "Olive wood.", 6.4, 1).await;
    let names = async |query: &str| column(&nobody.get(&format!("/products?{query}")).await, "name");

    assert_eq!(names("q=mugs").await, ["Enamel mug", "Tea towel"]);
    assert_eq!(names("q=mugs&orderBy=price").await, ["Tea towel", "Enamel mug"]);
    assert_eq!(names("q=mugs&inStock=true").await, ["Tea towel"]);
    assert_eq!(names("q=spooon").await, ["Spoon"], "misspelt");
    assert_eq!(names("q=%00").await.len(), 3, "nothing is searched for");
    assert_eq!(names("q=").await.len(), 3);
    let long = nobody.get(&format!("/products?q={}", "x".repeat(201))).await;
    assert_problem(&long, 400, "invalid_parameter");
    assert!(long.json["detail"].as_str().unwrap().contains("at most 200 characters"), "{}", long.text);
    for (query, parameter) in [
        ("minPrice=cheap", "minPrice"),
        ("minPrice=1.999", "minPrice"),
        ("maxPrice=-1", "maxPrice"),
        ("maxPrice=", "maxPrice"),
        ("inStock=yes", "inStock"),
        ("q=mug&orderBy=rank", "orderBy"),
    ] {
        let answer = nobody.get(&format!("/products?{query}")).await;
        assert_problem(&answer, 400, "invalid_parameter");
        assert!(answer.json["detail"].as_str().unwrap().starts_with(parameter), "{}", answer.text);
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn orders_are_chosen_by_status_and_time_and_admins_may_name_their_customer(pool: PgPool) {
    let (api, admin, ada) = shop(&pool).await;
    let bob = Caller::customer(&api.url, "bob").await;
    let mug = product(&admin, "Mug", "", 1.0, 100).await;
    for _ in 0..5 {
        assert_eq!(ada.order(&mug, 1, "test").await.status, 201);
    }
    let cancelled = ada.order(&mug, 1, "test").await.json["id"].as_str().unwrap().to_owned();
    assert_eq!(ada.post(&format!("/orders/{cancelled}/cancel"), json!({})).await.status, 200);
    let ada_id: String = sqlx::query_scalar("SELECT id::text FROM users WHERE email = 'ada@example.com'")
        .fetch_one(&pool)
        .await
        .unwrap();
    let total =
        async |caller: &Caller, query: &str| caller.get(&format!("/orders?{query}")).await.json["totalCount"].clone();

    assert_eq!(total(&ada, "status=CANCELLED").await, 1);
    assert_eq!(total(&ada, "status=PENDING,CANCELLED").await, 6);
    assert_eq!(total(&ada, "from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00%2B01:00").await, 0);
    let last = ada.get(&format!("/orders/{cancelled}")).await.json["createdAt"].as_str().unwrap().to_owned();
    assert_eq!(total(&ada, "to=2099-01-01T00:00:00Z&take=1").await, 6);
    assert_eq!(follow(&ada, &format!("/orders?from=2020-01-01T00:00:00Z&to={last}&take=2"), "id").await.len(), 5);
    for query in ["status=paid", "status=", "from=yesterday", "to=2026-01-01", "from=2026-01-01T00:00:00+02:00"] {
        assert_problem(&ada.get(&format!("/orders?{query}")).await, 400, "invalid_parameter");
    }

    let of_ada = format!("/orders?user={ada_id}&take=4&status=PENDING");
    assert_eq!(follow(&admin, &of_ada, "id").await, follow(&ada, "/orders?status=PENDING", "id").await);
    assert_eq!(total(&admin, "").await, 0, "without it, an admin sees their own");
    assert_eq!(total(&bob, "").await, 0);
    for caller in [&bob, &ada] {
        assert_problem(&caller.get(&of_ada).await, 403, "admin_only");
        assert_problem(&caller.get("/orders?user=me").await, 403, "admin_only");
    }
    assert_problem(&Caller::nobody(&api.url).get(&of_ada).await, 401, "token_missing");
    assert_problem(&admin.get("/orders?user=me").await, 400, "invalid_parameter");
    let cursor = admin.get(&of_ada).await.json["nextCursor"].as_str().unwrap().to_owned();
    let of_bob = admin.get(&format!("/orders?user={mug}&status=PENDING&after={cursor}")).await;
    assert_problem(&of_bob, 400, "invalid_cursor");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn admins_see_how_a_stock_came_to_be_what_it_is(pool: PgPool) {
    let (api, admin, ada) = shop(&pool).await;
    let mug = product(&admin, "Mug", "", 1.0, 10).await;
    for stock in [12, 7] {
        admin.put(&format!("/products/{mug}"), json!({ "stock": stock })).await;
    }
    let path = format!("/stock/{mug}/movements");

    assert_eq!(follow(&admin, &format!("{path}?take=2"), "delta").await, [json!(-5), json!(2), json!(10)]);
    let page = admin.get(&path).await;
    let newest = page.json["items"][0].as_object().unwrap();
    let mut fields: Vec<&str> = newest.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["actorId", "createdAt", "delta", "id", "reason"]);
    assert!(newest["actorId"].is_string());
    assert_eq!((&newest["reason"], &page.json["totalCount"]), (&json!("stock set"), &json!(3)));
    assert_problem(&Caller::nobody(&api.url).get(&path).await, 401, "token_missing");
    assert_problem(&ada.get(&path).await, 403, "admin_only");
    assert_problem(&admin.get("/stock/7/movements").await, 400, "invalid_parameter");
    assert_problem(&admin.get("/stock/01890000-0000-7000-8000-000000000000/movements").await, 404, "not_found");
    admin.delete(&format!("/products/{mug}")).await;
    assert_eq!(admin.get(&path).await.status, 200, "of a deleted product too");
}
