//! Real carts: a slice of a real shop's export, replayed over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use shop_common::db::MIGRATOR;
use shop_common::seed;
use shop_testkit::binaries::{Environment, program};
use shop_testkit::url_of;
use sqlx::PgPool;

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_slice_of_real_sales_is_ordered_paid_and_right_to_the_unit(pool: PgPool) {
    let shop = Environment::new(&pool).with("ROCKET_JOBS", "{base_ms=20}");
    let (api, _workers) = (shop.api(), [shop.worker(), shop.worker()]);
    seed::admin(&pool, false).await.unwrap();
    let slice = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/replay/data/slice.csv.gz");

    let output = Command::new(program("replay"))
        .arg(slice)
        .env("BASE_URL", &api.url)
        .env("DATABASE_URL", url_of(&pool))
        .output()
        .unwrap();

    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&pool).await.unwrap();
    assert_eq!(orders, 56, "as many as the slice has invoices that can be sold");
    let open: i64 = sqlx::query_scalar("SELECT count(*) FROM orders WHERE status IN ('PENDING', 'PROCESSING')")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(open, 0);
}
