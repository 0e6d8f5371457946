//! `shopctl orders`.

use serde_json::Value;
use shop_common::db::MIGRATOR;
use shop_common::orders::status::OrderStatus;
use shop_e2e::eventually;
use shop_testkit::Shop;
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

use crate::run::{json, mark_production, pages, shopctl, stderr, stdout};

fn ids(orders: &[Value]) -> Vec<&str> {
    orders.iter().map(|order| order["id"].as_str().unwrap()).collect()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn everybodys_orders_are_listed_by_status_user_time_and_total(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool.clone()));
    let list = |options: &[&str]| {
        let done = shopctl(&environment, &[&["orders", "list", "-o", "json"], options].concat());
        json(&done).as_array().unwrap().clone()
    };
    assert_eq!(list(&[]), [Value::Null; 0]);
    let (mug, ada, bob) = (shop.product("2.50", 99).await, shop.customer().await, shop.customer().await);
    let first = shop.order(ada, &[(mug, 3)], "test").await.to_string();
    let second = shop.order(bob, &[(mug, 1)], "test").await.to_string();
    let third = shop.order(ada, &[(mug, 2)], "test").await.to_string();
    json(&shopctl(&environment, &["orders", "cancel", &second, "--yes", "-o", "json"]));

    let all = list(&[]);
    assert_eq!(ids(&all), [&third, &second, &first], "the newest is first");
    assert_eq!((&all[0]["customer"]["id"], &all[0]["total"]), (&ada.to_string().into(), &5.into()));
    assert_eq!(ids(&list(&["--reverse"])), [&first, &second, &third]);
    assert_eq!(ids(&list(&["--status", "cancelled,failed"])), [&second]);
    assert_eq!(ids(&list(&["--status", "PENDING", "--status", "processing"])), [&third, &first]);
    assert_eq!(ids(&list(&["--user", &bob.to_string()])), [&second]);
    let email = all[0]["customer"]["email"].as_str().unwrap();
    assert_eq!(ids(&list(&["--user", email])), [&third, &first]);
    assert_eq!(ids(&list(&["--min-total", "2.51"])), [&third, &first]);
    assert_eq!(ids(&list(&["--min-total", "2.51", "--max-total", "5"])), [&third]);
    assert_eq!(ids(&list(&["--sort", "total"])), [&first, &third, &second]);
    assert_eq!(list(&["--until", "1d"]), [Value::Null; 0]);
    let by_time = pages(&environment, &["orders", "list", "--since", "1d"], "2");
    assert_eq!((by_time.len(), ids(&by_time.concat())), (2, vec![third.as_str(), &second, &first]));
    assert!(stdout(&shopctl(&environment, &["orders", "list"])).contains("2.50 USD"));
    for nonsense in [["--status", "paid"], ["--since", "yesterday"], ["--user", "ada"], ["--min-total", "much"]] {
        let refused = shopctl(&environment, &[&["orders", "list"], nonsense.as_slice()].concat());
        assert_eq!(refused.status.code(), Some(2), "{nonsense:?}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_is_shown_with_all_that_is_written_down_about_it(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool));
    let (mug, ada) = (shop.product("2.50", 9).await, shop.customer().await);
    let order = shop.order(ada, &[(mug, 2)], "pm_sim_decline_stolen_card").await;
    let _worker = environment.worker();
    eventually("the order has failed", async || shop.status(order).await == OrderStatus::Failed).await;

    let shown = json(&shopctl(&environment, &["orders", "show", &order.to_string(), "-o", "json"]));
    assert_eq!((&shown["status"], &shown["total"]), (&"FAILED".into(), &5.into()));
    assert_eq!((&shown["customer"]["id"], &shown["orderItems"][0]["quantity"]), (&ada.to_string().into(), &2.into()));
    assert_eq!(shown["payment"]["attempts"][0]["code"], "stolen_card");
    let job = shop.job_of(order).await.to_string();
    assert_eq!((&shown["jobs"][0]["id"], &shown["jobs"][0]["state"]), (&job.as_str().into(), &"dead".into()));
    let moves: Vec<_> = shown["timeline"].as_array().unwrap().iter().map(|entry| &entry["status"]).collect();
    assert_eq!(moves, ["PENDING", "PROCESSING", "FAILED", "FAILED"]);
    let table = stdout(&shopctl(&environment, &["orders", "show", &order.to_string()]));
    for word in ["Mug", "stolen_card", &job, "order.status"] {
        assert!(table.contains(word), "{table}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_operator_cancels_an_order_unless_money_may_be_moving(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool.clone()));
    let (mug, ada) = (shop.product("2.50", 5).await, shop.customer().await);
    let order = shop.order(ada, &[(mug, 2)], "pm_sim_success").await;
    let id = order.to_string();
    let cancel =
        |options: &[&str]| shopctl(&environment, &[&["orders", "cancel", &id, "-o", "json"], options].concat());

    let unasked = cancel(&[]);
    assert_eq!(unasked.status.code(), Some(4), "nobody was there to say yes");
    assert!(stderr(&unasked).contains(&format!("cancels order {id}, PENDING of 5.00 USD")), "{}", stderr(&unasked));
    assert_eq!(json(&cancel(&["--dry-run"]))["status"], "PENDING");
    let open_key = "UPDATE payments SET open_key = id || ':1'";
    sqlx::query(open_key).execute(&pool).await.unwrap();
    for in_flight in [cancel(&["--dry-run"]), cancel(&["--yes"])] {
        assert_eq!(in_flight.status.code(), Some(5), "{}", stderr(&in_flight));
        assert!(stderr(&in_flight).contains(&format!("`shopctl orders watch {id}`")), "{}", stderr(&in_flight));
    }
    sqlx::query("UPDATE payments SET open_key = NULL").execute(&pool).await.unwrap();
    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Pending, 3), "nothing was done so far");

    let database = mark_production(&pool).await;
    assert_eq!(cancel(&["--yes"]).status.code(), Some(4));
    assert_eq!(json(&cancel(&["--confirm", &database]))["status"], "CANCELLED");
    assert_eq!(shop.stock(mug).await, 5);
    let again = cancel(&[]);
    assert_eq!(json(&again)["status"], "CANCELLED");
    assert!(stderr(&again).contains("nothing was done now"), "{}", stderr(&again));
    shop.assert_sound().await;

    let paid = shop.order(ada, &[(mug, 1)], "pm_sim_success").await;
    let _worker = environment.worker();
    eventually("the order is paid", async || shop.status(paid).await == OrderStatus::Completed).await;
    let late = shopctl(&environment, &["orders", "cancel", &paid.to_string(), "--confirm", &database]);
    assert_eq!(late.status.code(), Some(5), "{}", stderr(&late));
    assert!(stderr(&late).contains(&format!("`shopctl orders refund {paid} --restock`")), "{}", stderr(&late));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_whose_refund_was_asked_for_is_watched_until_it_is_refunded(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool.clone()));
    let mug = shop.product("2.50", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 2)], "pm_sim_success").await;
    let id = order.to_string();
    let worker = environment.worker();
    eventually("the order is paid", async || shop.status(order).await == OrderStatus::Completed).await;
    drop(worker);
    let moves = |watched: &str| -> Vec<String> {
        watched
            .lines()
            .filter(|line| line.contains("order.status"))
            .map(|line| line.rsplit(' ').next().unwrap().to_owned())
            .collect()
    };
    let paid = shopctl(&environment, &["orders", "watch", &id]);
    assert_eq!(moves(&stdout(&paid)), ["PENDING", "PROCESSING", "COMPLETED"]);
    json(&shopctl(&environment, &["orders", "refund", &id, "--restock", "--yes", "-o", "json"]));

    let watching = {
        let (environment, id) = (environment.clone(), id.clone());
        std::thread::spawn(move || shopctl(&environment, &["orders", "watch", &id]))
    };
    let _worker = environment.worker();
    let watched = tokio::task::spawn_blocking(|| watching.join().unwrap()).await.unwrap();

    assert_eq!(moves(&stdout(&watched)), ["PENDING", "PROCESSING", "COMPLETED", "REFUNDED"]);
    // The same when its moves were forgotten.
    sqlx::query("DELETE FROM events").execute(&pool).await.unwrap();
    let forgotten = shopctl(&environment, &["orders", "watch", &id]);
    assert!(stderr(&forgotten).contains("is REFUNDED; its moves are so old"), "{}", stderr(&forgotten));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_operator_refunds_a_paid_order_when_asked_twice_whether_it_is_meant(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool.clone()));
    let mug = shop.product("2.50", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 2)], "pm_sim_success").await;
    let id = order.to_string();
    let refund = |options: &[&str]| shopctl(&environment, &[&["orders", "refund", &id], options].concat());
    assert_eq!(refund(&[]).status.code(), Some(2), "it has to be said what becomes of the stock");
    assert_eq!(refund(&["--restock", "--no-restock"]).status.code(), Some(2));
    let nobodys = ["orders", "refund", "01890000-0000-7000-8000-000000000000", "--restock", "--yes"];
    assert_eq!(shopctl(&environment, &nobodys).status.code(), Some(3));
    let early = refund(&["--restock", "--yes"]);
    assert_eq!(early.status.code(), Some(5), "{}", stderr(&early));
    assert!(stderr(&early).contains("is PENDING, only a COMPLETED one"), "{}", stderr(&early));
    let worker = environment.worker();
    eventually("the order is paid", async || shop.status(order).await == OrderStatus::Completed).await;
    drop(worker);

    let unsaid = refund(&["--restock"]);
    assert_eq!(unsaid.status.code(), Some(4), "nobody was there to say yes");
    assert!(stderr(&unsaid).contains(&format!("gives 5.00 USD of order {id} back")), "{}", stderr(&unsaid));
    let jobs: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(&pool).await.unwrap();
    assert_eq!(jobs, 1);
    let asked = json(&refund(&["--restock", "--reason", "sorry", "--yes", "-o", "json"]));
    assert_eq!((&asked["refund"]["status"], &asked["refund"]["reason"]), (&"PENDING".into(), &"sorry".into()));
    let again = refund(&["--restock"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert!(stdout(&again).contains("PENDING"), "{}", stdout(&again));
    assert!(stderr(&again).contains("nothing was done now"), "{}", stderr(&again));
    assert_eq!(refund(&["--no-restock", "--yes"]).status.code(), Some(5));
    assert_eq!(shopctl(&environment, &["verify"]).status.code(), Some(0));

    let _worker = environment.worker();
    eventually("the order is refunded", async || shop.status(order).await == OrderStatus::Refunded).await;
    assert_eq!(shop.stock(mug).await, 5);
    assert_eq!(shopctl(&environment, &["verify"]).status.code(), Some(0));
}
