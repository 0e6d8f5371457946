//! Sessions on a terminal, which only a terminal can have: questions, the bar, Ctrl-C.

use rexpect::process::WaitStatus;
use rexpect::session::{PtySession, spawn_command};
use shop_common::db::MIGRATOR;
use shop_testkit::Shop;
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

use crate::run::tempdir;

/// How long a test waits for what must appear, in milliseconds.
const PATIENCE: u64 = 60_000;

/// Runs shopctl on a terminal, away from any stack that runs in this folder.
fn session(environment: &Environment, arguments: &[&str]) -> PtySession {
    let mut command = environment.command("shopctl");
    command.args(arguments).current_dir(tempdir().keep()).env("TERM", "xterm");
    spawn_command(command, Some(PATIENCE)).unwrap()
}

/// What it writes until it ends, and its exit code.
fn end(mut session: PtySession) -> (String, i32) {
    let said = session.exp_eof().unwrap();
    match session.process().wait().unwrap() {
        WaitStatus::Exited(_, code) => (said, code),
        other => panic!("{other:?} after {said}"),
    }
}

async fn users(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrations = false)]
async fn migrating_shows_a_bar_and_a_reset_waits_for_a_yes(pool: PgPool) {
    let environment = Environment::new(&pool);
    let mut run = session(&environment, &["migrate", "run"]);
    run.exp_regex("[0-9]+ of [0-9]+").unwrap();
    let (said, code) = end(run);
    assert!(said.contains("migrations applied, the schema is up to date"), "{said}");
    assert_eq!(code, 0);
    Shop::new(pool.clone()).customer().await;

    let ask = || {
        let mut reset = session(&environment, &["migrate", "reset"]);
        reset.exp_string("This deletes the whole shop: 0 orders, 1 users. Go on? [y/N]").unwrap();
        reset
    };
    let mut refused = ask();
    refused.send_line("n").unwrap();
    let (said, code) = end(refused);
    assert!(said.contains("nothing was done"), "{said}");
    assert_eq!((code, users(&pool).await), (4, 1));

    let mut interrupted = ask();
    interrupted.send_control('c').unwrap();
    interrupted.exp_eof().unwrap();
    let ended = interrupted.process().wait().unwrap();
    assert!(matches!(ended, WaitStatus::Signaled(..)), "{ended:?}");
    assert_eq!(users(&pool).await, 1);

    let mut agreed = ask();
    agreed.send_line("y").unwrap();
    assert_eq!((end(agreed).1, users(&pool).await), (0, 0));
}

#[sqlx::test(migrations = false)]
async fn colours_are_for_a_terminal_and_for_who_wants_them(pool: PgPool) {
    let environment = Environment::new(&pool);
    let coloured = |environment: &Environment| end(session(environment, &["jobs", "lits"])).0.contains('\u{1b}');
    assert!(coloured(&environment));
    assert!(!coloured(&environment.with("NO_COLOR", "1")));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn in_production_the_name_of_the_database_has_to_be_typed(pool: PgPool) {
    let environment = Environment::new(&pool).with("ROCKET_PROFILE", "production");
    let shop = Shop::new(pool.clone());
    let mug = shop.product("1", 5).await;
    shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    sqlx::query("INSERT INTO installation (environment) VALUES ('production')").execute(&pool).await.unwrap();
    sqlx::query("UPDATE jobs SET state = 'dead'").execute(&pool).await.unwrap();
    let database = sqlx::query_scalar::<_, String>("SELECT current_database()::text").fetch_one(&pool).await.unwrap();
    let ask = || {
        let mut cancel = session(&environment, &["jobs", "cancel", "--all", "--state", "dead"]);
        cancel.exp_string(&format!("Type the name of the database ({database}) to go on:")).unwrap();
        cancel
    };
    let dead = async || {
        let dead = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM jobs WHERE state = 'dead'");
        dead.fetch_one(&pool).await.unwrap()
    };

    let mut refused = ask();
    refused.send_line("y").unwrap();
    assert_eq!((end(refused).1, dead().await), (4, 1));
    let mut agreed = ask();
    agreed.send_line(&database).unwrap();
    assert_eq!((end(agreed).1, dead().await), (0, 0));
}
