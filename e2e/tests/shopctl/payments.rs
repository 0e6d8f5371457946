//! `shopctl payments`.

use serde_json::Value;
use shop_common::db::MIGRATOR;
use shop_common::orders::status::OrderStatus;
use shop_e2e::eventually;
use shop_testkit::Shop;
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

use crate::run::{json, pages, shaped, shopctl, stderr, stdout};

#[sqlx::test(migrator = "MIGRATOR")]
async fn payments_are_listed_by_status_method_order_and_time(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool.clone()));
    let list = |options: &[&str]| {
        let done = shopctl(&environment, &[&["payments", "list", "-o", "json"], options].concat());
        json(&done).as_array().unwrap().clone()
    };
    assert_eq!(list(&[]), [Value::Null; 0]);
    let (mug, ada) = (shop.product("2.50", 9).await, shop.customer().await);
    let mut orders = Vec::new();
    for method in ["pm_sim_success", "pm_sim_decline_stolen_card", "pm_sim_success"] {
        orders.push(shop.order(ada, &[(mug, 1)], method).await.to_string());
    }
    let failed = &orders[1];
    sqlx::query("UPDATE payments SET status = 'FAILED' WHERE order_id = $1::uuid")
        .bind(failed)
        .execute(&pool)
        .await
        .unwrap();

    let of = |payments: &[Value]| -> Vec<String> {
        payments.iter().map(|payment| payment["orderId"].as_str().unwrap().to_owned()).collect()
    };
    let newest_first: Vec<String> = orders.iter().rev().cloned().collect();
    assert_eq!(of(&list(&[])), newest_first);
    assert_eq!(of(&list(&["--reverse"])), orders);
    assert_eq!(of(&list(&["--status", "failed"])), [failed.as_str()]);
    assert_eq!(
        of(&list(&["--method", "pm_sim_success", "--status", "PENDING"])),
        [newest_first[0].as_str(), &newest_first[2]]
    );
    assert_eq!(of(&list(&["--order", failed])), [failed.as_str()]);
    assert_eq!(list(&["--until", "1h"]), [Value::Null; 0]);
    assert_eq!(
        pages(&environment, &["payments", "list", "--since", "1h"], "2").concat().len(),
        3,
        "the age is another instant for each page"
    );
    let typo = shopctl(&environment, &["payments", "list", "--status", "complted"]);
    assert_eq!(typo.status.code(), Some(2));
    assert!(stderr(&typo).contains("a similar value exists: 'completed'"), "{}", stderr(&typo));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_payment_is_shown_with_its_attempts_its_refund_and_what_audits_found(pool: PgPool) {
    let shop = Shop::new(pool.clone());
    let environment = Environment::new(&pool).with("ROCKET_GATEWAY", "{audit_every_seconds=0}");
    let mug = shop.product("2.50", 9).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "pm_sim_decline_1_then_success").await;
    let id = order.to_string();
    let show = |id: &str| json(&shopctl(&environment, &["payments", "show", id, "-o", "json"]));
    let fresh = show(&id);
    assert_eq!(
        (&fresh["status"], &fresh["openKey"], &fresh["refund"]),
        (&"PENDING".into(), &Value::Null, &Value::Null)
    );
    let worker = environment.worker();
    eventually("the order is paid", async || shop.status(order).await == OrderStatus::Completed).await;
    drop(worker);
    json(&shopctl(&environment, &["orders", "refund", &id, "--no-restock", "--yes", "-o", "json"]));
    sqlx::raw_sql(
        "INSERT INTO gateway_audits (id, requested_by) VALUES (gen_random_uuid(), 'a test');
         INSERT INTO gateway_audit_findings (audit_id, charge_key, payment_id, amount_minor, finding, action)
         SELECT a.id, p.id || ':1', p.id::text, 250, 'double', 'reported' FROM gateway_audits a, payments p",
    )
    .execute(&pool)
    .await
    .unwrap();

    let shown = show(fresh["id"].as_str().unwrap());
    assert_eq!((&shown["status"], &shown["amount"], &shown["chargeNo"]), (&"COMPLETED".into(), &2.5.into(), &2.into()));
    let outcomes: Vec<_> = shown["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["outcome"]).collect();
    assert_eq!(outcomes, ["declined", "approved"]);
    assert_eq!(shown["refund"]["status"], "PENDING");
    assert_eq!((&shown["findings"][0]["kind"], &shown["findings"][0]["amount"]), (&"double".into(), &2.5.into()));
    let table = stdout(&shopctl(&environment, &["payments", "show", &id]));
    for word in ["declined", "approved", "double", "PENDING since"] {
        assert!(table.contains(word), "{table}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn payments_reconcile_has_a_worker_give_back_what_the_shop_forgot(pool: PgPool) {
    let environment = Environment::new(&pool).with("ROCKET_GATEWAY", "{audit_every_seconds=0}");
    let reconcile = ["payments", "reconcile", "-o", "json"];
    let alone = shopctl(&environment, &reconcile);
    assert_eq!(alone.status.code(), Some(6));
    assert!(stderr(&alone).contains("no worker is alive"), "{}", stderr(&alone));
    sqlx::query(
        "INSERT INTO simulated_gateway.charges (key, payment, amount_minor, currency, method, state)
         SELECT id || ':1', id, 1999, 'USD', 'test', 'captured' FROM (VALUES ('01890000-0000-7000-8000-000000000000')) AS v (id)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let _worker = environment.worker();
    eventually("the worker is alive", async || {
        let workers: i64 = sqlx::query_scalar("SELECT count(*) FROM workers").fetch_one(&pool).await.unwrap();
        workers == 1
    })
    .await;

    let found = shopctl(&environment, &reconcile);
    assert_eq!(found.status.code(), Some(1), "{}", stderr(&found));
    let audit: Value = shaped(&found);
    let finding = &audit["findings"][0];
    assert_eq!((&audit["charges"], &finding["amount"]), (&1.into(), &19.99.into()));
    assert_eq!((&finding["kind"], &finding["action"]), (&"forgotten".into(), &"refunded".into()));

    let again = shopctl(&environment, &["payments", "reconcile"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert!(stderr(&again).contains("the books agree, 1 charges compared"));
}
