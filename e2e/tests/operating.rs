//! The bad night of `docs/operating.md`: its commands are typed into a shop that is in that trouble.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use shop_common::db::MIGRATOR;
use shop_common::id::{OrderId, UserId};
use shop_common::jobs::compare::{self, Remedy};
use shop_common::users::queries::NewUser;
use shop_common::users::{self, Role};
use shop_e2e::console::Console;
use shop_e2e::eventually;
use shop_testkit::binaries::Environment;
use shop_testkit::{Shop, order_id};
use sqlx::PgPool;

/// What the document says before its alerts, which are no examples.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operating.md");

/// A second try takes so long that none comes during the test.
const NO_SECOND_TRY: &str = "{base_ms=3600000,cap_ms=3600000}";

/// Nobody's lease matters here.
const LEASE: Duration = Duration::from_secs(15);

async fn ada(shop: &Shop) -> UserId {
    let user = NewUser {
        email: "ada@example.com".parse().unwrap(),
        name: None,
        password_hash: "none".to_owned(),
        role: Role::Client,
    };
    users::queries::create(&shop.pool, &user).await.unwrap().id
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_bad_night_goes_as_the_handbook_says(pool: PgPool) {
    sqlx::query("INSERT INTO installation (environment) VALUES ('development')").execute(&pool).await.unwrap();
    let shop = Shop::new(pool.clone());
    let redis = format!("{{redis={{prefix=\"{}\"}}}}", shop.settings.databases.redis.prefix);
    let environment = Environment::new(&pool).with("ROCKET_DATABASES", &redis).with("ROCKET_JOBS", NO_SECOND_TRY);
    let (customer, mug) = (ada(&shop).await, shop.product("12.50", 200).await);
    sqlx::query("UPDATE products SET sku = 'MUG-350'").execute(&pool).await.unwrap();
    let worker = environment.worker();
    // One after the other, so that what came of them is always in the same order.
    let order = async |method: &str, jobs_are: &str| -> OrderId {
        let placed = shop.placement.place(shop_testkit::order(customer, &[(mug, 2)], method)).await.unwrap();
        let order = order_id(&placed);
        let tried = "SELECT count(*) FROM jobs WHERE order_id = $1 AND state = $2 AND attempts = 1";
        eventually("it is tried once", async || {
            let tried: i64 = sqlx::query_scalar(tried).bind(order).bind(jobs_are).fetch_one(&pool).await.unwrap();
            tried == 1
        })
        .await;
        order
    };
    let paid = order("pm_sim_success", "completed").await;
    let failed = order("pm_sim_decline_lost_card", "dead").await;
    let waiting = order("pm_sim_decline_1_then_success", "scheduled").await;
    let stopped = order("pm_sim_flaky_1", "scheduled").await;
    let job = shop.job_of(stopped).await;
    sqlx::query("UPDATE jobs SET state = 'dead', last_error = 'buried by hand' WHERE id = $1")
        .bind(job)
        .execute(&pool)
        .await
        .unwrap();
    compare::compare(&pool, &shop.queue, LEASE, Remedy::Fix).await.unwrap();

    let environment = environment
        .with("PAID", &paid.to_string())
        .with("FAILED", &failed.to_string())
        .with("WAITING", &waiting.to_string())
        .with("JOB", &job.to_string())
        .with("PRODUCT", &mug.to_string());
    Console::new(&environment)
        .redact("[PAID]", &paid.to_string())
        .redact("[FAILED]", &failed.to_string())
        .redact("[WAITING]", &waiting.to_string())
        .redact("[JOB]", &job.to_string())
        .redact("[PRODUCT]", &mug.to_string())
        .run(Path::new(DOCUMENT));
    drop(worker);
    shop.assert_sound().await;
}
