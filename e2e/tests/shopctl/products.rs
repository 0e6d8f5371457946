//! `shopctl products`.

use shop_common::db::MIGRATOR;
use shop_testkit::Shop;
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

use crate::run::{json, shopctl, stdout};

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_product_is_shown(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool));
    let mug = shop.product("2.50", 5).await.to_string();

    let shown = json(&shopctl(&environment, &["products", "show", &mug, "-o", "json"]));
    assert_eq!((&shown["id"], &shown["price"]), (&mug.as_str().into(), &2.5.into()));
    let on_a_line = shopctl(&environment, &["products", "show", &mug, "-o", "jsonl"]);
    assert_eq!(stdout(&on_a_line).lines().count(), 1);
    assert!(stdout(&shopctl(&environment, &["products", "show", &mug])).contains("price"));
    let unknown = shopctl(&environment, &["products", "show", "01890000-0000-7000-8000-000000000000"]);
    assert_eq!(unknown.status.code(), Some(3));
}
