//! Jobs and workers as operators see them: lists, history, numbers; pause and drain.

use serde_json::{Value, json as value};
use shop_common::db::MIGRATOR;
use shop_common::id::{OrderId, ProductId};
use shop_common::orders::status::OrderStatus;
use shop_e2e::eventually;
use shop_testkit::Shop;
use shop_testkit::binaries::Environment;
use sqlx::{AssertSqlSafe, PgPool};

use crate::run::{Done, json, shopctl, stderr, stdout};

/// A command below `shopctl jobs`, which prints JSON.
pub(crate) fn jobs(environment: &Environment, arguments: &[&str]) -> Done {
    shopctl(environment, &[&["jobs"], arguments, &["-o", "json"]].concat())
}

fn ids(listed: &Value) -> Vec<&str> {
    listed.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect()
}

pub(crate) async fn run(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

/// An order of one piece, and its job.
pub(crate) async fn order(shop: &Shop, product: ProductId, method: &str) -> (OrderId, String) {
    let order = shop.order(shop.customer().await, &[(product, 1)], method).await;
    (order, shop.job_of(order).await.to_string())
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn jobs_are_listed_and_shown_with_what_redis_knows_of_them(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool));
    assert_eq!(json(&jobs(&environment, &["list"])), value!([]));
    let mug = shop.product("1", 5).await;
    let (order, id) = order(&shop, mug, "test").await;

    let listed = json(&jobs(&environment, &["list", "--state", "scheduled"]));
    assert_eq!((&listed[0]["orderId"], &listed[0]["orderStatus"]), (&order.to_string().into(), &"PENDING".into()));
    let shown = json(&jobs(&environment, &["show", &id]));
    // The shop of this test uses another prefix in Redis than the command, which so finds nothing there.
    assert_eq!(
        (&shown["state"], &shown["schedule"], &shown["agree"]),
        (&"scheduled".into(), &"nowhere".into(), &false.into())
    );
    assert!(shown["dueInSeconds"].as_f64().unwrap() <= 0.0, "{shown}");
    let text = stdout(&shopctl(&environment, &["jobs", "show", &id]));
    assert!(text.contains("charge_payment v1") && text.contains("UTC, due for "), "{text}");
    let unknown = shopctl(&environment, &["jobs", "show", "01890000-0000-7000-8000-000000000000"]);
    assert_eq!(unknown.status.code(), Some(3));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_list_is_filtered_sorted_and_gone_through_page_by_page(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool.clone()));
    let mug = shop.product("1", 5).await;
    let (_, first) = order(&shop, mug, "test").await;
    let (_, second) = order(&shop, mug, "test").await;
    run(&pool, &format!("UPDATE jobs SET last_error = 'gateway_timeout', updated_at = now() WHERE id = '{first}'"))
        .await;
    let list = |options: &[&str]| jobs(&environment, &[&["list"], options].concat());
    let found = |options: &[&str]| ids(&json(&list(options))).iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
    let (one, both) = ([first.clone()], [second.clone(), first.clone()]);

    assert_eq!(found(&[]), both);
    assert_eq!(found(&["--sort", "run-at"]), [first.clone(), second.clone()]);
    assert_eq!(found(&["--sort", "error"]), one);
    assert_eq!(found(&["--error", "TIMEOUT", "--kind", "charge_payment", "--state", "dead,scheduled"]), one);
    assert_eq!(found(&["--older-than", "1h"]), [] as [String; 0]);
    assert_eq!(found(&["--payload", r#"{"paymentId":"x"}"#]), [] as [String; 0]);
    assert_eq!(found(&["--needs-operator"]), [] as [String; 0]);
    let page = list(&["--limit", "1"]);
    assert_eq!(ids(&json(&page)), [second]);
    let said = stderr(&page);
    let cursor = said.trim().strip_prefix("for the next ones add --after ").unwrap();
    let rest = list(&["--limit", "1", "--after", cursor]);
    assert_eq!((ids(&json(&rest)).as_slice(), stderr(&rest).as_str()), ([first.as_str()].as_slice(), ""));

    for (wrong, code) in [
        (["--after", "x"], 2),
        (["--kind", "charge"], 2),
        (["--older-than", "soon"], 2),
        (["--payload", "{"], 2),
        (["--limit", "0"], 2),
    ] {
        assert_eq!(list(&wrong).status.code(), Some(code), "{wrong:?}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn jobs_are_paused_and_resumed_and_workers_listed(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool));
    let run = |arguments: &[&str]| shopctl(&environment, &[arguments, &["-o", "json"]].concat());
    assert_eq!(json(&run(&["workers", "list"])), value!([]));
    assert_eq!(json(&run(&["jobs", "resume"]))["changed"], false);
    let first = json(&run(&["jobs", "pause", "--reason", "a new gateway"]));
    assert_eq!((&first["paused"], &first["changed"]), (&true.into(), &true.into()));
    let again = run(&["jobs", "pause"]);
    assert_eq!(json(&again)["pausedAt"], first["pausedAt"]);
    assert!(stderr(&again).contains("paused since "), "{}", stderr(&again));
    assert!(stderr(&again).contains("(a new gateway)"), "{}", stderr(&again));

    let worker = environment.worker();
    let listed = || json(&run(&["workers", "list"]))[0].clone();
    eventually("the worker's first heartbeat is heard", async || !listed().is_null()).await;
    assert_eq!((&listed()["pid"], &listed()["alive"]), (&worker.id().into(), &true.into()));
    assert!(stdout(&shopctl(&environment, &["workers", "list"])).contains("alive"));
    let mug = shop.product("1", 5).await;
    let (order, id) = order(&shop, mug, "pm_sim_success").await;
    let due = run(&["jobs", "run-now", &id]);
    assert_eq!(json(&due)["done"], 1);
    assert!(stderr(&due).contains("they wait for `shopctl jobs resume`"), "{}", stderr(&due));
    assert_eq!(shop.status(order).await, OrderStatus::Pending);

    assert_eq!(json(&run(&["jobs", "resume"]))["changed"], true);
    eventually("the order is paid", async || shop.status(order).await == OrderStatus::Completed).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn it_is_drained_when_nothing_is_due_and_nothing_in_hand(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool));
    let drain = |options: &[&str]| jobs(&environment, &[&["drain"], options].concat());
    let empty = drain(&[]);
    assert_eq!((&json(&empty)["drained"], &json(&empty)["due"]), (&true.into(), &0.into()));
    let mug = shop.product("1", 5).await;
    let (order, _) = order(&shop, mug, "pm_sim_slow_200").await;

    let full = drain(&["--timeout", "300ms"]);
    assert_eq!(full.status.code(), Some(5), "{}", stderr(&full));
    assert!(stderr(&full).contains("no worker is alive"), "{}", stderr(&full));
    assert!(stderr(&full).contains("not drained: 1 jobs are due and 0 in hand"), "{}", stderr(&full));
    json(&jobs(&environment, &["pause"]));
    let paused = drain(&[]);
    assert_eq!(paused.status.code(), Some(5), "nothing that is due would move");
    assert!(stderr(&paused).contains("--in-hand"), "{}", stderr(&paused));
    assert_eq!(json(&drain(&["--in-hand"]))["due"], 1);
    json(&jobs(&environment, &["resume"]));

    let _worker = environment.worker();
    assert_eq!(json(&drain(&["--timeout", "30s"]))["running"], 0);
    assert_eq!(shop.status(order).await, OrderStatus::Completed);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn numbers_history_and_the_live_view_tell_of_the_same_jobs(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool));
    assert_eq!(json(&jobs(&environment, &["history"])), value!([]));
    let none = json(&jobs(&environment, &["stats"]));
    assert_eq!((&none["jobs"], &none["due"]["lateness"]), (&value!([]), &Value::Null));
    let mug = shop.product("1", 5).await;
    let (waits, _) = order(&shop, mug, "pm_sim_success").await;
    let before = json(&jobs(&environment, &["stats"]));
    assert_eq!((&before["due"]["jobs"], &before["workers"]["alive"]), (&1.into(), &0.into()));
    assert!(before["due"]["lateness"]["p99"].as_f64().unwrap() >= 0.0);

    let worker = environment.worker();
    eventually("it is charged", async || !shop.status(waits).await.is_open()).await;
    let (declined, _) = order(&shop, mug, "pm_sim_decline_card_declined").await;
    eventually("it is declined", async || shop.status(declined).await == OrderStatus::Failed).await;

    let past = json(&jobs(&environment, &["history", "--outcome", "declined", "--code", "card_declined"]));
    assert_eq!(past[0]["orderId"], declined.to_string());
    assert_eq!(json(&jobs(&environment, &["history", "--since", "1h"])).as_array().unwrap().len(), 2);
    let now = json(&jobs(&environment, &["top", "--once"]));
    assert_eq!(now["failing"][0]["error"], "card_declined");
    assert_eq!(now["who"][0]["pid"], worker.id());
    assert_eq!(now["jobs"], value!([]), "only what lives");
    let text = stdout(&shopctl(&environment, &["jobs", "top"]));
    assert!(text.contains("card_declined") && !text.contains('\u{1b}'), "a frame, off a terminal: {text}");
    assert!(stdout(&shopctl(&environment, &["jobs", "stats"])).contains("need an operator"));
    eventually("a heartbeat tells what was settled", async || {
        json(&shopctl(&environment, &["workers", "list", "-o", "json"]))[0]["settled"] == 2
    })
    .await;
}
