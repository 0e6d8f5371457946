//! `shopctl stock`.

use serde_json::Value;
use shop_common::db::MIGRATOR;
use shop_testkit::Shop;
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

use crate::run::{json, pages, shopctl, stderr, stdout};

#[sqlx::test(migrator = "MIGRATOR")]
async fn stock_is_adjusted_with_a_reason_and_never_below_nothing(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool));
    let mug = shop.product("1", 5).await.to_string();
    let adjust = |product: &str, delta: &str| {
        shopctl(&environment, &["stock", "adjust", product, delta, "--reason", "counted again", "-o", "json"])
    };

    assert_eq!(json(&adjust(&mug, "-2"))["stock"], 3);
    let too_much = adjust(&mug, "-4");
    assert_eq!(too_much.status.code(), Some(5), "{}", stderr(&too_much));
    assert_eq!(adjust("01890000-0000-7000-8000-000000000000", "1").status.code(), Some(3));
    assert_eq!(adjust("mug", "1").status.code(), Some(2));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_counted_becomes_the_stock_and_the_difference_a_movement(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool));
    let mug = shop.product("1", 10).await;
    shop.order(shop.customer().await, &[(mug, 2)], "test").await;
    let id = mug.to_string();
    let shown = json(&shopctl(&environment, &["stock", "show", &id, "-o", "json"]));
    assert_eq!(
        (&shown["stock"], &shown["held"]["orders"], &shown["held"]["pieces"]),
        (&8.into(), &1.into(), &2.into())
    );
    let set =
        |pieces: &str| shopctl(&environment, &["stock", "set", &id, pieces, "--reason", "stocktaking", "-o", "json"]);

    let counted = json(&set("5"));
    assert_eq!((&counted["delta"], &counted["stock"]), (&(-3).into(), &5.into()));
    let again = set("5");
    assert_eq!(json(&again)["delta"], 0);
    assert!(stderr(&again).contains("nothing was recorded"), "{}", stderr(&again));
    assert_eq!(set("-1").status.code(), Some(2));
    assert_eq!(shopctl(&environment, &["stock", "set", &id, "5"]).status.code(), Some(2), "there is no reason");

    let movements = pages(&environment, &["stock", "movements", &id], "1").concat();
    let movements: Vec<_> = movements.iter().map(|movement| (&movement["reason"], &movement["delta"])).collect();
    assert_eq!(movements, [(&"stocktaking".into(), &(-3).into()), (&"initial stock".into(), &10.into())]);
    assert!(stdout(&shopctl(&environment, &["stock", "movements", &id])).contains("-3"));
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_runs_low_is_listed_the_fewest_first(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool));
    let low = |options: &[&str]| {
        let done = shopctl(&environment, &[&["stock", "low", "-o", "json"], options].concat());
        let stocks = json(&done).as_array().unwrap().iter().map(|product| product["stock"].as_i64().unwrap()).collect();
        let stocks: Vec<i64> = stocks;
        stocks
    };
    assert_eq!(json(&shopctl(&environment, &["stock", "low", "-o", "json"])), Value::Array(Vec::new()));
    for stock in [11, 3, 10, 0] {
        shop.product("1", stock).await;
    }

    assert_eq!(low(&[]), [0, 3, 10]);
    assert_eq!(low(&["--below", "3"]), [0, 3]);
    assert_eq!(low(&["--below", "2000", "--reverse"]), [11, 10, 3, 0]);
}
