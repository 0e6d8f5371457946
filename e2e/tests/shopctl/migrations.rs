//! `shopctl migrate`: what it says before it does anything, and what it needs.

use serde_json::Value;
use shop_common::db::MIGRATOR;
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

use crate::run::{json, shopctl, stderr, stdout};

#[sqlx::test(migrations = false)]
async fn a_dry_run_lists_what_is_missing_and_leaves_nothing_behind(pool: PgPool) {
    let environment = Environment::new(&pool);
    let relations = async || -> i64 {
        let ours = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')";
        sqlx::query_scalar(ours).fetch_one(&pool).await.unwrap()
    };
    // Whoever migrates at this moment holds this lock; a dry run does not wait for it.
    let mut migrating = pool.acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(1)").execute(&mut *migrating).await.unwrap();

    let planned = json(&shopctl(&environment, &["migrate", "run", "--dry-run", "-o", "json"]));

    let planned = planned.as_array().unwrap();
    assert_eq!(planned.len(), MIGRATOR.iter().count());
    assert!(planned[0]["sql"].as_str().unwrap().contains("CREATE TABLE installation"));
    assert_eq!(planned[0]["bytes"], planned[0]["sql"].as_str().unwrap().len());
    assert_eq!(relations().await, 0, "no table of migrations either");
    let locks: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid <> $1
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .bind(sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()").fetch_one(&mut *migrating).await.unwrap())
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(locks, 0);

    let run = shopctl(&environment, &["migrate", "run", "-o", "json"]);
    let said = format!("{} migrations applied, the schema is up to date\n", planned.len());
    assert_eq!(stderr(&run), said, "the bar is for terminals");
    let done = json(&run);
    assert_eq!(done.as_array().unwrap().len(), planned.len());
    assert_eq!(done[0].get("sql"), None);
    let nothing = shopctl(&environment, &["migrate", "run", "--dry-run"]);
    assert_eq!((stdout(&nothing).as_str(), stderr(&nothing).as_str()), ("", "the schema is up to date\n"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_migration_that_was_edited_after_it_was_applied_is_named(pool: PgPool) {
    let environment = Environment::new(&pool);
    sqlx::query("UPDATE _sqlx_migrations SET checksum = 'x' WHERE version = 2").execute(&pool).await.unwrap();
    for command in [["migrate", "run"].as_slice(), &["migrate", "run", "--dry-run"]] {
        let refused = shopctl(&environment, command);
        assert_eq!(refused.status.code(), Some(5), "{}", stderr(&refused));
        assert!(stderr(&refused).contains("migration 0002 was edited after it was applied"), "{}", stderr(&refused));
    }
    let listed = json(&shopctl(&environment, &["migrate", "status", "-o", "json"]));
    assert_eq!((&listed[0]["state"], &listed[1]["state"]), (&"applied".into(), &"changed".into()));
}

#[sqlx::test(migrations = false)]
async fn what_needs_no_redis_does_not_ask_for_it_and_the_rest_says_so(pool: PgPool) {
    let without = Environment::new(&pool).with("REDIS_URL", "");
    assert_eq!(shopctl(&without, &["migrate", "run"]).status.code(), Some(0));
    assert_eq!(shopctl(&without, &["verify"]).status.code(), Some(0));
    assert_eq!(json(&shopctl(&without, &["jobs", "list", "-o", "json"])), Value::Array(Vec::new()));

    let refused = shopctl(&without, &["jobs", "reconcile"]);
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("REDIS_URL is not set"), "{}", stderr(&refused));
}
