//! `shopctl orders watch`: the moves of orders in a terminal, with the real api and the real worker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;
use shop_common::db::MIGRATOR;
use shop_e2e::{Caller, mug};
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

/// A `shopctl orders watch --all` that runs until the test lets go of it.
struct Watch(Child, Lines<BufReader<ChildStdout>>);

impl Watch {
    fn all(shop: &Environment) -> Self {
        let mut command = shop.command("shopctl");
        let mut child =
            command.args(["orders", "watch", "--all", "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self(child, lines)
    }

    fn next(&mut self) -> Value {
        serde_json::from_str(&self.1.next().unwrap().unwrap()).unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_operator_sees_the_moves_of_everybodys_orders_once_and_in_order(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, _worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let (ada, bob) = (Caller::customer(&api.url, "ada").await, Caller::customer(&api.url, "bob").await);
    let mut watch = Watch::all(&shop);
    // It watches from some moment after its start: orders are placed until one of them shows.
    let (sender, first) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        watch.next();
        sender.send(()).unwrap();
        watch
    });
    while first.try_recv().is_err() {
        ada.order(&mug, 1, "pm_sim_decline_stolen_card").await;
    }
    let mut watch = reading.join().unwrap();

    let placed = [ada.order(&mug, 1, "pm_sim_success").await, bob.order(&mug, 1, "pm_sim_success").await];

    let mut seen: [Vec<String>; 2] = Default::default();
    while seen.iter().any(|moves| moves.last().map(String::as_str) != Some("order.status COMPLETED")) {
        let line = watch.next();
        let data = &line["data"];
        for (moves, placed) in seen.iter_mut().zip(&placed) {
            if data["id"] == placed.json["id"] || data["orderId"] == placed.json["id"] {
                moves.push(format!("{} {}", line["type"].as_str().unwrap(), data["status"].as_str().unwrap()));
            }
        }
    }
    let all = ["order.status PENDING", "order.status PROCESSING", "payment.status COMPLETED", "order.status COMPLETED"];
    assert_eq!(seen, [all, all]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_watch_of_one_order_shows_its_history_and_leaves_when_it_has_ended(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, _worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let other = ada.order(&mug, 1, "pm_sim_success").await;
    let placed = ada.order(&mug, 1, "pm_sim_decline_stolen_card").await;
    let watch = |order: &str| shop.command("shopctl").args(["orders", "watch", order]).output().unwrap();

    let shown = watch(placed.json["id"].as_str().unwrap());

    assert_eq!(shown.status.code(), Some(0), "{}", String::from_utf8_lossy(&shown.stderr));
    let shown = String::from_utf8(shown.stdout).unwrap();
    let moves: Vec<_> = shown.lines().map(|line| line.split_whitespace().skip(2).collect::<Vec<_>>()).collect();
    let id = placed.json["id"].as_str().unwrap();
    assert_eq!(
        moves,
        [
            vec![id, "order.status", "PENDING"],
            vec![id, "order.status", "PROCESSING"],
            vec![id, "payment.status", "FAILED", "attempt=1", "error=stolen_card"],
            vec![id, "order.status", "FAILED"],
        ]
    );
    assert!(!shown.contains(other.json["id"].as_str().unwrap()));
    assert_eq!(watch("01890000-0000-7000-8000-000000000000").status.code(), Some(3));
    assert_eq!(shop.command("shopctl").args(["orders", "watch"]).output().unwrap().status.code(), Some(2));
}
