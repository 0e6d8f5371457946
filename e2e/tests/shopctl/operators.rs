//! Migrations, jobs, verify: what was there first.

use serde_json::Value;
use shop_common::db::MIGRATOR;
use shop_common::seed;
use shop_testkit::Shop;
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

use crate::run::{Done, json, shopctl, stderr, stdout, tempdir};

#[sqlx::test(migrations = false)]
async fn a_fresh_database_is_migrated_seeded_and_reset(pool: PgPool) {
    let shop = Environment::new(&pool);
    let states = |output: &Done| -> Vec<bool> {
        json(output).as_array().unwrap().iter().map(|row| row["applied"].as_bool().unwrap()).collect()
    };

    assert!(states(&shopctl(&shop, &["migrate", "status", "-o", "json"])).iter().all(|applied| !applied));
    assert_eq!(shopctl(&shop, &["verify"]).status.code(), Some(4), "there is no schema yet");
    assert_eq!(shopctl(&shop, &["migrate", "run"]).status.code(), Some(0));
    assert_eq!(shopctl(&shop, &["migrate", "run"]).status.code(), Some(0));
    assert!(states(&shopctl(&shop, &["migrate", "status", "-o", "json"])).iter().all(|applied| *applied));

    let admin = json(&shopctl(&shop, &["admin", "seed", "-o", "json"]));
    assert_eq!((&admin["email"], &admin["password"]), (&"admin@example.com".into(), &"password".into()));
    let again = shopctl(&shop, &["admin", "seed"]);
    assert!(stderr(&again).contains("there is an admin already"));
    assert!(stdout(&again).is_empty());

    let refused = shopctl(&shop, &["migrate", "reset"]);
    assert_eq!(refused.status.code(), Some(4), "nobody was there to say yes");
    assert!(stderr(&refused).contains("0 orders, 1 users"), "{}", stderr(&refused));
    assert_eq!(shopctl(&shop, &["migrate", "reset", "--yes"]).status.code(), Some(0));
    let users: i64 = sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(&pool).await.unwrap();
    assert_eq!(users, 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_schema_that_is_ahead_of_this_program_is_left_as_it_is(pool: PgPool) {
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'of a newer version', true, '', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();

    let output = shopctl(&Environment::new(&pool), &["migrate", "run"]);

    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[sqlx::test(migrations = false)]
async fn a_production_database_has_no_default_password_and_is_not_reset(pool: PgPool) {
    let shop = Environment::new(&pool).with("ROCKET_PROFILE", "production");
    assert_eq!(shopctl(&shop, &["migrate", "run"]).status.code(), Some(0));

    let admin = json(&shopctl(&shop, &["admin", "seed", "-o", "json"]));
    assert!(admin["password"].as_str().unwrap().len() >= 20);
    assert!(!seed::has_development_admin(&pool).await.unwrap());

    let refused = shopctl(&shop.with("ROCKET_PROFILE", "development"), &["migrate", "reset", "--yes"]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(stderr(&refused).contains("not marked development"));
}

#[sqlx::test(migrations = false)]
async fn a_database_that_is_no_shops_is_not_reset(pool: PgPool) {
    sqlx::query("CREATE TABLE foreign_app (id int)").execute(&pool).await.unwrap();
    let refused = shopctl(&Environment::new(&pool), &["migrate", "reset", "--yes"]);
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
    sqlx::query("SELECT FROM foreign_app").fetch_all(&pool).await.unwrap();
}

#[test]
fn a_new_migration_is_written_with_the_next_number() {
    let folder = tempdir();
    std::fs::create_dir(folder.path().join("migrations")).unwrap();
    std::fs::write(folder.path().join("migrations/0001_shop.sql"), "").unwrap();
    let run = |name: &str| {
        let program = shop_testkit::binaries::program("shopctl");
        std::process::Command::new(program).args(["migrate", "new", name]).current_dir(folder.path()).output().unwrap()
    };

    assert_eq!(stdout(&run("Add SKU")), "migrations/0002_add_sku.sql\n");
    assert!(folder.path().join("migrations/0002_add_sku.sql").exists());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn verify_says_that_all_is_well_or_names_what_is_not_and_fails(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool.clone()));
    let mug = shop.product("1", 5).await;
    let sound = shopctl(&environment, &["verify"]);
    assert_eq!((sound.status.code(), stderr(&sound).as_str()), (Some(0), "all is well\n"));

    sqlx::query("UPDATE products SET stock = 6").execute(&pool).await.unwrap();

    let broken = shopctl(&environment, &["verify"]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(stdout(&broken).contains(&format!("product {mug}")), "{}", stdout(&broken));
    let as_json = shopctl(&environment, &["verify", "-o", "json"]);
    let findings: Value = serde_json::from_slice(&as_json.stdout).unwrap();
    assert_eq!(findings[0]["violations"][0]["subject"], format!("product {mug}"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_schema_that_is_behind_is_named_as_what_is_wrong(pool: PgPool) {
    let environment = Environment::new(&pool);
    let shop = Shop::new(pool.clone());
    let mug = shop.product("1", 5).await;
    shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    let older = "UPDATE jobs SET state = 'dead'; ALTER TABLE jobs DROP COLUMN give_up; DROP TABLE queue_pause";
    sqlx::raw_sql(older).execute(&pool).await.unwrap();
    for command in [["jobs", "list"].as_slice(), &["jobs", "retry", "--all", "--yes"], &["jobs", "resume"]] {
        let refused = shopctl(&environment, command);
        assert_eq!(refused.status.code(), Some(4), "{command:?} {}", stderr(&refused));
        assert!(stderr(&refused).contains("shopctl migrate run"), "{}", stderr(&refused));
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_job_that_redis_has_lost_is_found_and_scheduled(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool.clone()));
    let reconcile = |option: &str| shopctl(&environment, &["jobs", "reconcile", option, "-o", "json"]);
    assert_eq!(json(&reconcile("--check"))["live"], 0);
    let mug = shop.product("1", 5).await;
    // The shop of this test uses another prefix in Redis than the command, which so finds nothing there.
    shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    sqlx::query("UPDATE jobs SET run_at = now() - interval '1 minute'").execute(&pool).await.unwrap();

    let lost = shopctl(&environment, &["jobs", "reconcile"]);
    assert_eq!(lost.status.code(), Some(1));
    assert!(stderr(&lost).contains("1 jobs are missing"), "{}", stderr(&lost));
    assert!(stdout(&lost).contains("missing"), "{}", stdout(&lost));
    assert_eq!(json(&reconcile("--fix"))["missing"], 1);
    assert_eq!(json(&reconcile("--check"))["missing"], 0);
    let away = shopctl(&environment.with("REDIS_URL", "redis://127.0.0.1:9"), &["jobs", "reconcile"]);
    assert_eq!(away.status.code(), Some(6), "{}", stderr(&away));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn verify_repairs_what_it_can_and_checks_again(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool.clone()));
    let mug = shop.product("1", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    sqlx::query("UPDATE jobs SET state = 'dead'").execute(&pool).await.unwrap();
    let verify = |options: &[&str]| shopctl(&environment, &[&["verify"], options].concat());

    assert_eq!(verify(&["--dry-run"]).status.code(), Some(2), "there is nothing to rehearse without --repair");
    let dry = verify(&["--repair", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(1), "it is still broken");
    assert!(stderr(&dry).contains("1 orders would be repaired; nothing was done"), "{}", stderr(&dry));
    let repaired = json(&verify(&["--repair", "-o", "json"]));
    assert_eq!(repaired["repairs"][0]["order"], order.to_string());
    assert_eq!(repaired["repairs"][0]["deed"], "jobScheduled");
    let sound = verify(&["--repair"]);
    assert_eq!((sound.status.code(), stderr(&sound).as_str()), (Some(0), "0 orders repaired\nall is well\n"));
}

#[test]
fn a_server_that_is_away_or_not_named_has_an_exit_code_of_its_own() {
    let folder = tempdir();
    let run = |url: Option<&str>| {
        let mut command = std::process::Command::new(shop_testkit::binaries::program("shopctl"));
        command.arg("verify").current_dir(folder.path()).env_remove("DATABASE_URL");
        if let Some(url) = url {
            command.env("DATABASE_URL", url);
        }
        command.output().unwrap()
    };
    let away = run(Some("postgres://shop@127.0.0.1:9/shop"));
    assert_eq!(away.status.code(), Some(6), "{}", stderr(&away));
    assert!(stderr(&away).contains("next: "), "{}", stderr(&away));
    let nowhere = run(None);
    assert_eq!(nowhere.status.code(), Some(4), "{}", stderr(&nowhere));
    assert!(stderr(&nowhere).contains("DATABASE_URL is not set"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_document_of_the_api_is_the_same_from_the_api_and_from_the_command_line(pool: PgPool) {
    let shop = Environment::new(&pool);
    let api = shop.api();

    let served = shop_e2e::Caller::nobody(&api.url).get("/openapi.json").await;
    let printed = shopctl(&shop, &["openapi"]);

    assert_eq!((served.status, served.header("Content-Type")), (200, Some("application/json")));
    assert_eq!(served.text, stdout(&printed));
}
