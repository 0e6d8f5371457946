//! `shopctl users` and `shopctl admin`.

use serde_json::Value;
use shop_common::db::MIGRATOR;
use shop_e2e::{Caller, PASSWORD};
use shop_testkit::Shop;
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

use crate::run::{json, mark_production, pages, shopctl, shopctl_reading, stderr, stdout};

const STRONG: &str = "B4ttery-staple";

fn emails(users: &[Value]) -> Vec<&str> {
    users.iter().map(|user| user["email"].as_str().unwrap()).collect()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn users_are_listed_newest_first_and_by_role_and_by_a_part_of_their_email(pool: PgPool) {
    let shop = Environment::new(&pool);
    let list = |options: &[&str]| {
        let done = shopctl(&shop, &[&["users", "list", "-o", "json"], options].concat());
        json(&done).as_array().unwrap().clone()
    };
    assert_eq!(list(&[]), [Value::Null; 0]);
    let admin = |email: &str| json(&shopctl(&shop, &["admin", "create", "--email", email, "-o", "json"]));
    for email in ["eve_1@example.com", "bob@example.org", "evex1@example.com"] {
        admin(email);
    }
    let customer = Shop::new(pool).customer().await.to_string();

    assert_eq!(list(&[])[0]["id"], customer, "the newest is first");
    assert_eq!(emails(&list(&["--role", "admin"])), ["evex1@example.com", "bob@example.org", "eve_1@example.com"]);
    assert_eq!(list(&["--role", "client"]).len(), 1);
    assert_eq!(emails(&list(&["--email", "EVE_1"])), ["eve_1@example.com"], "_ is no wildcard");
    assert_eq!(emails(&list(&["--email", ".org"])), ["bob@example.org"]);
    let by_email = pages(&shop, &["users", "list", "--role", "admin", "--sort", "email"], "1").concat();
    assert_eq!(emails(&by_email), ["bob@example.org", "eve_1@example.com", "evex1@example.com"]);
    assert!(stdout(&shopctl(&shop, &["users", "list"])).starts_with("ID "));
    let lines = stdout(&shopctl(&shop, &["users", "list", "-o", "jsonl"]));
    assert_eq!(lines.lines().count(), 4);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_user_is_shown_with_sessions_and_orders_and_never_a_hash(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool.clone()));
    json(&shopctl(&environment, &["admin", "seed", "-o", "json"]));
    let show = |user: &str| shopctl(&environment, &["users", "show", user, "-o", "json"]);

    let admin = show("ADMIN@example.com");
    assert_eq!((&json(&admin)["role"], &json(&admin)["defaultPassword"]), (&"ADMIN".into(), &true.into()));
    assert!(stderr(&admin).contains("shopctl admin password"), "{}", stderr(&admin));
    assert!(!stdout(&admin).contains("argon2"), "{}", stdout(&admin));

    let api = environment.api();
    let ada = Caller::customer(&api.url, "ada").await;
    let id = ada.get("/auth/me").await.json["id"].as_str().unwrap().to_owned();
    Caller::login(&api.url, "ada@example.com", PASSWORD).await;
    let mug = shop.product("1", 5).await;
    for _ in 0..2 {
        ada.order(&mug.to_string(), 1, "pm_sim_success").await;
    }
    let shown = json(&show(&id));
    assert_eq!((&shown["email"], &shown["defaultPassword"]), (&"ada@example.com".into(), &false.into()));
    assert_eq!((shown["sessions"].as_array().unwrap().len(), &shown["orders"]["PENDING"]), (2, &2.into()));
    assert!(stdout(&shopctl(&environment, &["users", "show", &id])).contains("2 PENDING"));

    let revoked = json(&shopctl(&environment, &["users", "revoke", &id, "-o", "json"]));
    assert_eq!(revoked["email"], "ada@example.com");
    assert_eq!(json(&show("ada@example.com"))["sessions"], Value::Array(Vec::new()));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn admins_are_created_with_a_password_that_is_shown_once_or_read_from_stdin(pool: PgPool) {
    let shop = Environment::new(&pool);
    let created = json(&shopctl(&shop, &["admin", "create", "--email", "eve@example.com", "-o", "json"]));
    assert_eq!(created["email"], "eve@example.com");
    assert!(created["password"].as_str().unwrap().len() >= 20);

    let twice = shopctl(&shop, &["admin", "create", "--email", "EVE@example.com"]);
    assert_eq!(twice.status.code(), Some(5), "{}", stderr(&twice));
    let unnameable = shopctl(&shop, &["admin", "create", "--email", "bob@example.com", "--name", " "]);
    assert_eq!(unnameable.status.code(), Some(2), "{}", stderr(&unnameable));
    assert_eq!(shopctl(&shop, &["admin", "create", "--email", "bob"]).status.code(), Some(2));
    let from_stdin = ["admin", "create", "--email", "quixotrel@example.com", "--password-stdin", "-o", "json"];
    for weak in ["", "Quixotrel#2931\n"] {
        let refused = shopctl_reading(&shop, &from_stdin, weak);
        assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
    }
    let bob = json(&shopctl_reading(&shop, &from_stdin, &format!("{STRONG}\n")));
    assert_eq!((&bob["email"], &bob["password"]), (&"quixotrel@example.com".into(), &Value::Null));
    Caller::login(&shop.api().url, "quixotrel@example.com", STRONG).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_lost_password_is_replaced_which_ends_all_sessions(pool: PgPool) {
    let shop = Environment::new(&pool);
    json(&shopctl(&shop, &["admin", "seed", "-o", "json"]));
    let api = shop.api();
    Caller::login(&api.url, "admin@example.com", "password").await;
    let set = |options: &[&str]| shopctl(&shop, &[&["admin", "password", "-o", "json"], options].concat());
    let shown = || json(&shopctl(&shop, &["users", "show", "admin@example.com", "-o", "json"]));

    let unasked = set(&[]);
    assert_eq!(unasked.status.code(), Some(4), "nobody was there to say yes");
    assert!(stderr(&unasked).contains("admin@example.com (ADMIN), and ends their 1 sessions"), "{}", stderr(&unasked));
    assert_eq!(json(&set(&["--dry-run"]))["password"], Value::Null);
    assert_eq!(set(&["--email", "nobody@example.com", "--yes"]).status.code(), Some(3));
    assert_eq!(set(&["--email", "nobody"]).status.code(), Some(2));
    assert_eq!((&shown()["defaultPassword"], &shown()["sessions"][1]), (&true.into(), &Value::Null));

    let random = json(&set(&["--yes"]));
    assert_eq!((&shown()["defaultPassword"], &shown()["sessions"]), (&false.into(), &Value::Array(Vec::new())));
    Caller::login(&api.url, "admin@example.com", random["password"].as_str().unwrap()).await;

    // In production --yes is not enough.
    let database = mark_production(&pool).await;
    let given = |options: &[&str]| {
        let command = [&["admin", "password", "--password-stdin", "-o", "json"], options].concat();
        shopctl_reading(&shop, &command, STRONG)
    };
    assert_eq!(given(&["--yes"]).status.code(), Some(4));
    Caller::login(&api.url, "admin@example.com", random["password"].as_str().unwrap()).await;
    assert_eq!(json(&given(&["--confirm", &database]))["password"], Value::Null);
    Caller::login(&api.url, "admin@example.com", STRONG).await;
}
