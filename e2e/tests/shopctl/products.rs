//! `shopctl products`.

use serde_json::Value;
use shop_common::db::MIGRATOR;
use shop_testkit::Shop;
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

use crate::run::{Done, cursor, json, mark_production, pages, shopctl, stderr, stdout};

fn names(products: &[Value]) -> Vec<&str> {
    products.iter().map(|product| product["name"].as_str().unwrap()).collect()
}

fn create(environment: &Environment, name: &str, price: &str, stock: &str) -> Value {
    let command = ["products", "create", "--name", name, "--price", price, "--stock", stock, "-o", "json"];
    json(&shopctl(environment, &command))
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_product_is_shown(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool));
    let mug = shop.product("2.50", 5).await.to_string();

    let shown = json(&shopctl(&environment, &["products", "show", &mug, "-o", "json"]));
    assert_eq!((&shown["id"], &shown["price"], &shown["revision"]), (&mug.as_str().into(), &2.5.into(), &"1-5".into()));
    let on_a_line = shopctl(&environment, &["products", "show", &mug, "-o", "jsonl"]);
    assert_eq!(stdout(&on_a_line).lines().count(), 1);
    assert!(stdout(&shopctl(&environment, &["products", "show", &mug])).contains("price"));
    let unknown = shopctl(&environment, &["products", "show", "01890000-0000-7000-8000-000000000000"]);
    assert_eq!(unknown.status.code(), Some(3));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_catalogue_is_listed_page_by_page_and_searched(pool: PgPool) {
    let shop = Environment::new(&pool);
    let list = |options: &[&str]| {
        let done = shopctl(&shop, &[&["products", "list", "-o", "json"], options].concat());
        json(&done).as_array().unwrap().clone()
    };
    assert_eq!(list(&[]), [Value::Null; 0]);
    for (name, price, stock) in [("Enamel mug", "12.50", "3"), ("Tea towel", "8.90", "0"), ("Mug rack", "20", "7")] {
        create(&shop, name, price, stock);
    }

    assert_eq!(names(&list(&[])), ["Mug rack", "Tea towel", "Enamel mug"], "the newest is first");
    assert_eq!(names(&list(&["--sort", "price"])), ["Tea towel", "Enamel mug", "Mug rack"]);
    assert_eq!(names(&list(&["--sort", "price", "--reverse"])), ["Mug rack", "Enamel mug", "Tea towel"]);
    assert_eq!(names(&list(&["--min-price", "9", "--max-price", "12.50"])), ["Enamel mug"]);
    assert_eq!(names(&list(&["--in-stock", "false"])), ["Tea towel"]);
    assert_eq!(names(&list(&["--search", "mugs", "--sort", "name"])), ["Enamel mug", "Mug rack"]);
    assert_eq!(list(&["--search", "mug"]).len(), 2);
    let one_by_one = pages(&shop, &["products", "list", "--sort", "name"], "1");
    assert_eq!((one_by_one.len(), names(&one_by_one.concat())), (3, vec!["Enamel mug", "Mug rack", "Tea towel"]));

    let page = shopctl(&shop, &["products", "list", "--limit", "2"]);
    assert!(stderr(&page).starts_with("2 of 3 products; for the next ones add --after "), "{}", stderr(&page));
    let cursor = cursor(&page).unwrap();
    let elsewhere = shopctl(&shop, &["products", "list", "--sort", "price", "--after", &cursor]);
    assert_eq!(elsewhere.status.code(), Some(2), "it is a cursor of another list");
    assert!(stderr(&elsewhere).contains("next: "), "{}", stderr(&elsewhere));
    for nonsense in [["--sort", "colour"], ["--min-price", "cheap"], ["--limit", "0"], ["--search", " "]] {
        let refused = shopctl(&shop, &[&["products", "list"], nonsense.as_slice()].concat());
        assert_eq!(refused.status.code(), Some(2), "{nonsense:?}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_edit_is_made_in_the_state_that_it_is_meant_for_or_asked_about(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool));
    let created = create(&environment, "Mug", "2.50", "5");
    assert_eq!((&created["revision"], &created["description"]), (&"1-5".into(), &"".into()));
    let id = created["id"].as_str().unwrap();
    let update =
        |options: &[&str]| shopctl(&environment, &[&["products", "update", id, "-o", "json"], options].concat());

    let edited = json(&update(&["--price", "3", "--stock", "7", "--expected", "1-5"]));
    assert_eq!((&edited["price"], &edited["revision"]), (&3.into(), &"2-7".into()));
    let late = update(&["--price", "4", "--expected", "1-5"]);
    assert_eq!(late.status.code(), Some(5), "{}", stderr(&late));
    assert!(stderr(&late).contains("the product is at 2-7 by now; nothing was done"), "{}", stderr(&late));

    let unasked = update(&["--price", "4"]);
    assert_eq!(unasked.status.code(), Some(4), "nobody was there to say yes");
    assert!(stderr(&unasked).contains("This changes Mug: price 3.00 to 4.00."), "{}", stderr(&unasked));
    for rehearsal in [["--price", "4", "--dry-run"].as_slice(), &["--price", "4", "--dry-run", "--expected", "2-7"]] {
        assert_eq!(json(&update(rehearsal))["revision"], "2-7", "nothing was done");
    }
    let named = json(&update(&["--name", "Cup", "--description", "White.", "--yes"]));
    assert_eq!((&named["name"], &named["price"], &named["revision"]), (&"Cup".into(), &3.into(), &"3-7".into()));

    assert_eq!(update(&["--yes"]).status.code(), Some(2), "nothing changes");
    assert_eq!(update(&["--price", "-1", "--yes"]).status.code(), Some(2));
    assert_eq!(update(&["--price", "1", "--expected", "3"]).status.code(), Some(2));
    let movements = json(&shopctl(&environment, &["stock", "movements", id, "-o", "json"]));
    assert_eq!((&movements[0]["reason"], &movements[0]["delta"]), (&"stock set".into(), &2.into()));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_product_is_deleted_when_it_is_said_what_holds_it_and_in_production_by_name_only(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool.clone()));
    let mug = shop.product("2.50", 5).await;
    shop.order(shop.customer().await, &[(mug, 2)], "test").await;
    let id = mug.to_string();
    let delete =
        |options: &[&str]| shopctl(&environment, &[&["products", "delete", &id, "-o", "json"], options].concat());
    let is_there = || shopctl(&environment, &["products", "show", &id]).status.code() == Some(0);
    let database = mark_production(&pool).await;

    let refused = |done: &Done, why: &str| {
        assert_eq!(done.status.code(), Some(4), "{}", stderr(done));
        let notes = stderr(done);
        assert!(notes.contains(why) && notes.contains(&format!("say --confirm {database}")), "{notes}");
    };
    refused(&delete(&[]), "with 3 in stock; 1 open orders with 2 of it go on.");
    refused(&delete(&["--yes"]), "marked production, where --yes is not enough");
    refused(&delete(&["--confirm", "another"]), "not another; nothing was done");
    let dry = json(&delete(&["--dry-run"]));
    assert_eq!((&dry["dryRun"], &dry["held"]["pieces"]), (&true.into(), &2.into()));
    assert_eq!(delete(&["--confirm", &database, "--expected", "1-5"]).status.code(), Some(5));
    assert!(is_there());

    let deleted = json(&delete(&["--confirm", &database, "--expected", "1-3"]));
    assert_eq!((&deleted["dryRun"], &deleted["stock"]), (&false.into(), &3.into()));
    assert!(!is_there());
    assert_eq!(delete(&["--confirm", &database]).status.code(), Some(3));
    shop.assert_sound().await;
}
