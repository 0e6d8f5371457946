//! `shopctl doctor` and `config show`: what is wrong is seen, named, and comes with its fix.

use std::fs;

use serde_json::{Value, json};
use shop_common::db::MIGRATOR;
use shop_common::seed;
use shop_testkit::Shop;
use shop_testkit::binaries::{Environment, program};
use sqlx::PgPool;

use crate::run::{Done, json as printed, shaped, shopctl, stderr, stdout, tempdir};

/// The checks that doctor has printed, whether it failed or not.
fn checks(done: &Done) -> Vec<Value> {
    shaped(done).as_array().unwrap().clone()
}

fn check(checks: &[Value], name: &str) -> Value {
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {checks:#?}")).clone()
}

#[track_caller]
fn assert_verdict(checks: &[Value], name: &str, verdict: &str) {
    let check = check(checks, name);
    assert_eq!(check["verdict"], verdict, "{check:#}");
    let needs_fix = matches!(verdict, "warning" | "failed");
    assert_eq!(check["fix"].is_string(), needs_fix, "{check:#}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_shop_in_trouble_is_told_what_to_do(pool: PgPool) {
    let environment = Environment::new(&pool).with("ROCKET_PROFILE", "production").with("JWT_SECRET", "changeme");
    let shop = Shop::new(pool.clone());
    let mug = shop.product("1", 5).await;
    shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    let trouble = "INSERT INTO installation (environment) VALUES ('production');
                   UPDATE _sqlx_migrations SET checksum = 'x' WHERE version = 2;
                   INSERT INTO queue_pause (reason) VALUES ('the gateway is down');
                   UPDATE jobs SET run_at = now() - interval '1 hour';
                   UPDATE jobs SET state = 'dead' WHERE id = (SELECT min(id::text) FROM jobs)::uuid";
    sqlx::raw_sql(trouble).execute(&pool).await.unwrap();
    seed::admin(&pool, false).await.unwrap();

    let done = shopctl(&environment, &["doctor", "-o", "json"]);

    assert_eq!(done.status.code(), Some(1), "{}", stderr(&done));
    let found = checks(&done);
    for name in ["migrations", "jwt secret", "default admin", "workers", "orders", "schedule"] {
        assert_verdict(&found, name, "failed");
    }
    assert_verdict(&found, "queue", "warning");
    assert!(check(&found, "queue")["seen"].as_str().unwrap().contains("the gateway is down"));
    assert!(check(&found, "migrations")["seen"].as_str().unwrap().contains("0002"));
    assert_eq!(check(&found, "orders")["seen"], "2 open, 1 without a job, 1 due for more than a minute");
    for name in ["settings", "postgres", "postgres version", "environment", "redis", "redis version", "clocks"] {
        assert_verdict(&found, name, "ok");
    }
    let table = shopctl(&environment, &["doctor"]);
    assert!(stdout(&table).contains("WHAT TO DO"), "{}", stdout(&table));
    assert!(stdout(&table).contains("shopctl jobs resume"), "{}", stdout(&table));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn with_one_server_away_the_rest_is_still_looked_at(pool: PgPool) {
    let environment = Environment::new(&pool);
    let no_postgres = environment.clone().with("DATABASE_URL", "postgres://shop@127.0.0.1:9/shop");
    let found = checks(&shopctl(&no_postgres, &["doctor", "-o", "json"]));
    assert_verdict(&found, "postgres", "failed");
    for name in ["postgres version", "durability", "migrations", "connections", "workers", "orders", "schedule"] {
        assert_verdict(&found, name, "unknown");
    }
    for name in ["redis", "redis version", "clocks", "jwt secret"] {
        assert_verdict(&found, name, "ok");
    }

    let no_redis = environment.with("REDIS_URL", "redis://127.0.0.1:9");
    let found = checks(&shopctl(&no_redis, &["doctor", "-o", "json"]));
    assert_verdict(&found, "redis", "failed");
    for name in ["redis version", "redis memory", "redis persistence", "schedule"] {
        assert_verdict(&found, name, "unknown");
    }
    for name in ["postgres", "postgres version", "migrations", "clocks"] {
        assert_verdict(&found, name, "ok");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn each_setting_is_shown_with_where_it_comes_from_and_without_secrets(pool: PgPool) {
    let environment = Environment::new(&pool)
        .with("ROCKET_JOBS", "{max_attempts=7}")
        .with("JWT_SECRET", "canary-canary-canary-canary-canary")
        .with("ROCKET_GATEWAY", r#"{url="http://shop:canary@127.0.0.1:4000"}"#);

    let shown = shopctl(&environment, &["config", "show", "-o", "json"]);

    assert!(!stdout(&shown).contains("canary") && !stderr(&shown).contains("canary"));
    let password = shop_testkit::url_of(&pool).split(['@', ':']).nth(2).unwrap().to_owned();
    assert!(password.len() > 8 && !stdout(&shown).contains(&password));
    let settings = printed(&shown);
    let setting = |key: &str| settings.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone();
    assert_eq!(
        setting("jobs.max_attempts"),
        json!({ "key": "jobs.max_attempts", "value": 7, "source": "variable", "name": "ROCKET_JOBS" })
    );
    assert_eq!(
        setting("jobs.base_ms"),
        json!({ "key": "jobs.base_ms", "value": 1000, "source": "compiledIn", "profile": "default" })
    );
    assert_eq!(setting("auth.jwt_secret")["value"], "***");
    assert_eq!(setting("gateway.url")["value"], "http://shop:***@127.0.0.1:4000");
    assert_eq!(setting("databases.pg.url")["name"], "DATABASE_URL");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_setting_that_nobody_reads_stops_every_program_with_the_name_of_the_right_one(pool: PgPool) {
    let environment = Environment::new(&pool).with("ROCKET_JOBS", "{max_atempts=7}");
    let wrong = "ROCKET_JOBS sets `jobs.max_atempts`, which nobody reads; did you mean `jobs.max_attempts`";
    for name in ["shop-api", "shop-worker"] {
        let refused = environment.command(name).output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{name}");
        assert!(stderr(&refused).contains(wrong), "{name}: {}", stderr(&refused));
    }
    let refused = shopctl(&environment, &["jobs", "list"]);
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
    assert!(stderr(&refused).contains(wrong), "{}", stderr(&refused));
    let shown = shopctl(&environment, &["config", "show"]);
    assert_eq!(shown.status.code(), Some(0));
    assert!(stderr(&shown).contains(wrong), "{}", stderr(&shown));
    let found = checks(&shopctl(&environment, &["doctor", "-o", "json"]));
    assert_verdict(&found, "settings", "failed");
    assert_verdict(&found, "postgres", "ok");
    let found = checks(&shopctl(&environment.with("ROCKET_JOBS", "{max_attempts=many}"), &["doctor", "-o", "json"]));
    assert!(check(&found, "settings")["seen"].as_str().unwrap().contains("JOBS.MAX_ATTEMPTS"), "{found:#?}");
}

#[test]
fn a_file_of_settings_that_is_not_there_stops_every_program() {
    let folder = tempdir();
    fs::write(folder.path().join("Rocket.toml"), "[default.jobs]\nmax_attempts = 3\n").unwrap();
    for name in ["shop-api", "shop-worker", "shopctl"] {
        let mut command = std::process::Command::new(program(name));
        command.current_dir(folder.path()).env("ROCKET_CONFIG", "Rokcet.toml");
        if name == "shopctl" {
            command.args(["config", "show"]);
        }
        let refused = command.output().unwrap();
        assert_ne!(refused.status.code(), Some(0), "{name}");
        assert!(stderr(&refused).contains("ROCKET_CONFIG names \"Rokcet.toml\""), "{name}: {}", stderr(&refused));
    }
}
