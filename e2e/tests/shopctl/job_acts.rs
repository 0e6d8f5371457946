//! What operators do to jobs, to one or to all that match, while workers run: retry, run-now, cancel, prune.

use std::process::{Command, Stdio};
use std::thread;

use futures::future::join_all;
use serde_json::{Value, json as value};
use shop_common::db::MIGRATOR;
use shop_common::orders::status::OrderStatus;
use shop_e2e::eventually;
use shop_testkit::Shop;
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

use crate::jobs::{jobs, order, run};
use crate::run::{json, shopctl, stderr};

#[sqlx::test(migrator = "MIGRATOR")]
async fn dead_jobs_are_retried_or_given_up_while_their_orders_are_open(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool.clone()));
    let act = |arguments: &[&str]| jobs(&environment, arguments);
    let code = |arguments: &[&str]| act(arguments).status.code();
    let bury = async || run(&pool, "UPDATE jobs SET state = 'dead'").await;
    let mug = shop.product("1", 5).await;
    let (order, job) = order(&shop, mug, "pm_sim_success").await;
    assert_eq!(json(&act(&["list", "--needs-operator"])), value!([]));
    bury().await;
    let listed = json(&act(&["list", "--needs-operator"]));
    assert_eq!((&listed[0]["id"], &listed[0]["orderStatus"]), (&job.as_str().into(), &"PENDING".into()));

    assert_eq!(code(&["retry"]), Some(2));
    assert_eq!(code(&["retry", "--state", "dead"]), Some(2), "not without --all");
    assert_eq!(code(&["retry", &job, "--state", "dead"]), Some(2));
    assert_eq!(code(&["retry", "01890000-0000-7000-8000-000000000000"]), Some(3));
    assert_eq!(json(&act(&["retry", &job, "--dry-run"]))["dryRun"], true);
    assert_eq!(json(&act(&["retry", &job]))["jobs"][0], job);
    let again = act(&["retry", &job]);
    assert_eq!(again.status.code(), Some(5), "{}", stderr(&again));
    assert!(stderr(&again).contains("is scheduled, not dead"), "{}", stderr(&again));

    bury().await;
    let dry = act(&["cancel", "--all", "--state", "dead", "--dry-run"]);
    let expected = value!([{ "kind": "charge_payment", "state": "dead", "jobs": 1 }]);
    assert_eq!((&json(&dry)["jobs"][0], &json(&dry)["groups"]), (&job.as_str().into(), &expected));
    assert!(stderr(&dry).contains("gives 1 orders up (1 dead charge_payment)"), "{}", stderr(&dry));
    let refused = act(&["cancel", &job]);
    assert_eq!(refused.status.code(), Some(4), "nobody was there to say yes");
    assert!(stderr(&refused).contains("gives 1 orders up"), "{}", stderr(&refused));
    assert_eq!(code(&["retry", "--all"]), Some(4));
    assert_eq!(json(&act(&["list", "--needs-operator"]))[0]["id"], job, "nothing was done so far");
    assert_eq!(json(&act(&["cancel", "--all", "--yes"]))["jobs"][0], job);
    let nothing = act(&["cancel", "--all", "--yes"]);
    assert_eq!((&json(&nothing)["matched"], stderr(&nothing).as_str()), (&0.into(), "there is nothing to do\n"));
    let _worker = environment.worker();
    eventually("the order has failed", async || shop.status(order).await == OrderStatus::Failed).await;
    assert_eq!(shop.stock(mug).await, 5);
    assert_eq!(code(&["retry", &job]), Some(5), "its order has ended");
    assert_eq!(json(&act(&["list", "--needs-operator"])), value!([]));
    assert_eq!(json(&act(&["list", "--state", "dead"]))[0]["giveUp"], "given_up_by_the_shop");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_done_to_all_that_match_while_a_worker_runs_leaves_sound_books(pool: PgPool) {
    let environment = Environment::new(&pool).with("ROCKET_JOBS", "{base_ms=3600000,cap_ms=3600000}");
    let shop = Shop::new(pool.clone());
    let mug = shop.product("1", 1000).await;
    let methods = ["pm_sim_flaky_1", "pm_sim_success", "pm_sim_decline_no", "pm_sim_slow_30"];
    let place = async |each: usize| {
        let orders = (0..each).flat_map(|_| methods).map(|method| order(&shop, mug, method));
        join_all(orders).await
    };
    place(20).await;
    run(&pool, "UPDATE jobs SET state = 'dead' WHERE id IN (SELECT id FROM jobs ORDER BY id LIMIT 15)").await;
    let _workers = [environment.worker(), environment.worker()];

    let commands: Vec<_> = [["retry"], ["run-now"], ["cancel"], ["run-now"], ["cancel"]]
        .into_iter()
        .map(|verb| {
            let environment = environment.clone();
            thread::spawn(move || {
                for _ in 0..3 {
                    let done = jobs(&environment, &[&verb[..], &["--all", "--yes"]].concat());
                    assert!(json(&done)["done"].as_u64() <= json(&done)["matched"].as_u64());
                }
            })
        })
        .collect();
    place(20).await;
    for command in commands {
        eventually("the commands are done", async || command.is_finished()).await;
        command.join().unwrap();
    }
    place(1).await;

    // What waits for an hour still, is due now; what has stopped in the middle, goes on.
    eventually("all orders have ended", async || {
        json(&jobs(&environment, &["retry", "--all", "--yes"]));
        json(&jobs(&environment, &["run-now", "--all", "--yes"]));
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM orders WHERE status IN ('PENDING', 'PROCESSING')")
            .fetch_one(&pool)
            .await
            .unwrap();
        open == 0
    })
    .await;
    shop.assert_sound().await;
    let ends: Vec<(String, i64)> =
        sqlx::query_as("SELECT status, count(*) FROM orders GROUP BY 1 ORDER BY 1").fetch_all(&pool).await.unwrap();
    assert_eq!(ends.iter().map(|(status, _)| status.as_str()).collect::<Vec<_>>(), ["COMPLETED", "FAILED"], "{ends:?}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_command_that_is_stopped_says_how_far_it_got_and_what_is_done_stays_done(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool.clone()));
    let mug = shop.product("1", 5).await;
    order(&shop, mug, "test").await;
    run(
        &pool,
        "INSERT INTO orders
             SELECT (jsonb_populate_record(o, jsonb_build_object('id', gen_random_uuid()))).*
             FROM orders o, generate_series(1, 2499);
         INSERT INTO jobs
             SELECT (jsonb_populate_record(j, jsonb_build_object('id', gen_random_uuid(), 'order_id', o.id))).*
             FROM jobs j, orders o WHERE o.id <> j.order_id;
         UPDATE jobs SET state = 'dead'",
    )
    .await;
    let mut elsewhere = pool.begin().await.unwrap();
    // By its id: FOR UPDATE locks the rows that OFFSET passes over, too.
    sqlx::query("SELECT FROM jobs WHERE id = (SELECT id FROM jobs ORDER BY id OFFSET 1500 LIMIT 1) FOR UPDATE")
        .execute(&mut *elsewhere)
        .await
        .unwrap();
    let mut command = environment.command("shopctl");
    command.args(["jobs", "retry", "--all", "--yes", "-o", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    eventually("the second page waits", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap() == 1
    })
    .await;
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    elsewhere.rollback().await.unwrap();

    let output = child.wait_with_output().unwrap();

    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("stopped: 2000 of 2500 jobs are done"), "{said}");
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&printed["matched"], &printed["done"]), (&2500.into(), &2000.into()));
    let rest = json(&jobs(&environment, &["retry", "--all", "--yes"]));
    assert_eq!((&rest["matched"], &rest["done"]), (&500.into(), &500.into()));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn old_jobs_are_deleted_and_their_orders_are_as_they_were(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool.clone()));
    let mug = shop.product("1", 50).await;
    let _worker = environment.worker();
    let mut paid = Vec::new();
    for _ in 0..3 {
        paid.push(order(&shop, mug, "pm_sim_flaky_1").await.0);
    }
    let (declined, _) = order(&shop, mug, "pm_sim_decline_no").await;
    let ended = async || {
        let open = "SELECT count(*) FROM orders WHERE status IN ('PENDING', 'PROCESSING')";
        sqlx::query_scalar::<_, i64>(open).fetch_one(&pool).await.unwrap() == 0
    };
    eventually("all have ended", ended).await;
    let (young, _) = order(&shop, mug, "pm_sim_success").await;
    eventually("all have ended", ended).await;
    run(
        &pool,
        &format!(
            "UPDATE jobs SET updated_at = now() - interval '40 days', created_at = now() - interval '41 days'
             WHERE order_id <> '{young}';
             UPDATE payment_attempts SET created_at = now() - interval '40 days'
             WHERE payment_id <> (SELECT id FROM payments WHERE order_id = '{young}')"
        ),
    )
    .await;
    let timelines = async || -> Vec<(i64, String)> {
        let sql = "SELECT seq, data::text FROM events ORDER BY user_id, seq";
        sqlx::query_as(sql).fetch_all(&pool).await.unwrap()
    };
    let before = timelines().await;
    let prune = |options: &[&str]| jobs(&environment, &[&["prune"], options].concat());

    assert_eq!(prune(&[]).status.code(), Some(2), "an age has to be said");
    assert_eq!(prune(&["--older-than", "10m"]).status.code(), Some(4));
    assert_eq!(prune(&["--older-than", "30d"]).status.code(), Some(4), "nobody was there to say yes");
    let dry = json(&prune(&["--older-than", "30d", "--dry-run"]));
    assert_eq!((&dry["matched"], &dry["jobs"], &dry["dryRun"]), (&4.into(), &0.into(), &true.into()));
    assert_eq!(json(&prune(&["--older-than", "30d", "--state", "dead", "--dry-run"]))["matched"], 1);
    let done = json(&prune(&["--older-than", "30d", "--yes"]));
    assert_eq!((&done["jobs"], &done["attempts"]), (&4.into(), &7.into()), "each paid one was tried twice");
    assert_eq!(json(&prune(&["--older-than", "30d", "--yes"]))["matched"], 0);

    let left = json(&jobs(&environment, &["list"]));
    assert_eq!((left.as_array().unwrap().len(), &left[0]["orderId"]), (1, &young.to_string().into()));
    assert_eq!(timelines().await, before);
    assert_eq!(shop.status(declined).await, OrderStatus::Failed);
    shop.assert_sound().await;
    // Whoever paid can have it back all the same.
    let refund = ["orders", "refund", &paid[0].to_string(), "--restock", "--yes"];
    assert_eq!(shopctl(&environment, &refund).status.code(), Some(0));
    eventually("it is refunded", async || shop.status(paid[0]).await == OrderStatus::Refunded).await;
    shop.assert_sound().await;
}
