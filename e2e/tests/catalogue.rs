//! What apis keep of the catalogue is never older than what they have heard.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use shop_common::db::MIGRATOR;
use shop_common::seed;
use shop_e2e::{Caller, eventually, mug};
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

/// Apis that keep answers until they hear of a change, so that a test knows that they have.
const UNTIL_TOLD: &str = "{fresh_ms=600000}";

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_change_is_seen_at_once_where_it_was_made_and_soon_at_the_other_api(pool: PgPool) {
    let shop = Environment::new(&pool).with("ROCKET_CATALOGUE", UNTIL_TOLD);
    let (here, there) = (shop.api(), shop.api());
    let product = mug(&pool, &here).await;
    let admin = Caller::login(&here.url, seed::ADMIN_EMAIL, "password").await;
    let (page, path) = ("/products?take=20", format!("/products/{product}"));
    let price = |answer: Value| answer["price"].as_f64();
    for api in [&here, &there] {
        let nobody = Caller::nobody(&api.url);
        eventually("the api knows of the product", async || {
            nobody.get(page).await.json["items"][0]["id"] == product.as_str()
        })
        .await;
        assert_eq!(price(nobody.get(&path).await.json), Some(12.5));
    }

    assert_eq!(admin.put(&path, json!({ "price": 13.5 })).await.status, 200);

    assert_eq!(price(admin.get(&path).await.json), Some(13.5));
    assert_eq!(price(admin.get(page).await.json["items"][0].clone()), Some(13.5));
    let elsewhere = admin.at(&there.url);
    eventually("the other api has heard of it", async || price(elsewhere.get(&path).await.json) == Some(13.5)).await;
    eventually("its pages too", async || price(elsewhere.get(page).await.json["items"][0].clone()) == Some(13.5)).await;

    assert_eq!(admin.delete(&path).await.status, 204);
    assert_eq!(admin.get(&path).await.status, 404);
    eventually("the other api has heard of that as well", async || elsewhere.get(&path).await.status == 404).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn stock_that_orders_take_and_failed_payments_give_back_is_shown_by_every_api(pool: PgPool) {
    let shop = Environment::new(&pool).with("ROCKET_CATALOGUE", UNTIL_TOLD);
    let (here, there) = (shop.api(), shop.api());
    let product = mug(&pool, &here).await;
    let customer = Caller::customer(&here.url, "ada").await;
    let elsewhere = customer.at(&there.url);
    let path = format!("/products/{product}");
    let stock = async |caller: &Caller| caller.get(&path).await.json["stock"].as_i64();
    assert_eq!((stock(&customer).await, stock(&elsewhere).await), (Some(1000), Some(1000)));

    let placed = customer.order(&product, 3, "pm_sim_decline_lost_card").await;
    assert_eq!(stock(&customer).await, Some(997));
    eventually("the other api has heard of the order", async || stock(&elsewhere).await == Some(997)).await;

    let _worker = shop.worker();
    customer.order_becomes(placed.json["id"].as_str().unwrap(), "FAILED").await;
    for caller in [&customer, &elsewhere] {
        eventually("the api has heard that the stock is back", async || stock(caller).await == Some(1000)).await;
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_nobody_told_of_is_shown_when_the_answer_is_too_old(pool: PgPool) {
    let shop = Environment::new(&pool).with("ROCKET_CATALOGUE", "{fresh_ms=50}");
    let api = shop.api();
    let product = mug(&pool, &api).await;
    let nobody = Caller::nobody(&api.url);
    let path = format!("/products/{product}");
    assert_eq!(nobody.get(&path).await.json["stock"], 1000);

    sqlx::query("UPDATE products SET stock = 7").execute(&pool).await.unwrap();

    eventually("the api has read it again", async || nobody.get(&path).await.json["stock"] == 7).await;
}
