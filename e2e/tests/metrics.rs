//! Metrics, alerts and the dashboard, held against what both daemons export after a day in the life of a shop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use shop_common::db::MIGRATOR;
use shop_common::metrics::Daemon;
use shop_common::metrics::catalogue::{self, Kind, Labels};
use shop_common::seed;
use shop_e2e::promtool::promtool;
use shop_e2e::scrape::Scrape;
use shop_e2e::{Caller, eventually, mug, order, read};
use shop_testkit::binaries::{Api, Environment};
use sqlx::PgPool;

const ALERTS: &str = include_str!("../../deploy/prometheus/alerts.yml");
const ALERTS_TEST: &str = include_str!("../../deploy/prometheus/alerts_test.yml");
const DASHBOARD: &str = include_str!("../../deploy/grafana/shop.json");
const OPERATING: &str = include_str!("../../docs/operating.md");

/// A bit of everything: orders that are paid, declined, refused, replayed and given back, a socket, what was not modified, failed
/// logins until they are too many, and what is nowhere. Gives what the daemons say then.
async fn a_day(pool: &PgPool) -> (Scrape, Scrape) {
    let limits = "{timeout_ms=10000,login_account={per_minute=1,burst=2}}";
    let shop = Environment::new(pool).with("SHOP_RATE_LIMITS", "on").with("ROCKET_RATE_LIMITS", limits);
    let (api, (_worker, worker)) = (shop.api(), shop.worker_with_health());
    let mug = mug(pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;

    let socket = watch_one_event(&api, &ada).await;
    let paid = ada.order(&mug, 1, "pm_sim_success").await.json["id"].as_str().unwrap().to_owned();
    ada.order_becomes(&paid, "COMPLETED").await;
    socket.await.unwrap();
    let declined = ada.order(&mug, 1, "pm_sim_decline_card_declined").await.json["id"].as_str().unwrap().to_owned();
    ada.order_becomes(&declined, "FAILED").await;
    assert_eq!(ada.order(&mug, 100_000, "pm_sim_success").await.status, 422);
    for _ in 0..2 {
        let request = ada.request(Method::POST, "/orders").header("Idempotency-Key", "cart-7");
        let answer = read(request.json(&order(&mug, 1, "pm_sim_success")).send().await.unwrap()).await;
        ada.order_becomes(answer.json["id"].as_str().unwrap(), "COMPLETED").await;
    }
    let admin = Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await;
    let refund = admin.post(&format!("/orders/{paid}/refund"), json!({ "restock": true })).await;
    assert_eq!(refund.status, 202, "{}", refund.text);
    ada.order_becomes(&paid, "REFUNDED").await;

    let product = format!("/products/{mug}");
    let tag = ada.get(&product).await.header("etag").unwrap().to_owned();
    for (tag, status) in [(tag.as_str(), 304), ("\"0-0\"", 200)] {
        let answer = ada.request(Method::GET, &product).header("If-None-Match", tag).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
    }
    let nobody = Caller::nobody(&api.url);
    for status in [401, 401, 429] {
        let guess = json!({ "email": "ada@example.com", "password": "Wr0ng-password" });
        assert_eq!(nobody.post("/login", guess).await.status, status);
    }
    for path in ["/nowhere", "/no/where?at=all", "/products/7"] {
        assert!(nobody.get(path).await.status >= 400);
    }
    eventually("the socket is gone", async || {
        Scrape::of(&api.url).await.sum("shop_live_sockets_ended_total", &[("reason", "left")]) == 1.0
    })
    .await;
    eventually("the jobs are counted, and the worker is ready", async || {
        let worker = Scrape::of(&worker).await;
        worker.sum("shop_jobs_counted_timestamp_seconds", &[]) > 0.0 && worker.sum("shop_ready", &[]) == 1.0
    })
    .await;
    (Scrape::of(&api.url).await, Scrape::of(&worker).await)
}

/// Opens a socket that waits for one event and leaves.
async fn watch_one_event(api: &Api, caller: &Caller) -> tokio::task::JoinHandle<()> {
    let url = format!("{}/ws?ticket={}", api.url.replace("http", "ws"), caller.ticket().await);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    tokio::spawn(async move {
        let event = socket.next().await.unwrap().unwrap();
        assert!(event.to_text().unwrap().contains("order.status"));
        socket.close(None).await.unwrap();
        while socket.next().await.is_some() {}
    })
}

/// A metric that a daemon exports is in the catalogue, word by word, and the other way round.
fn assert_catalogued(daemon: Daemon, scrape: &Scrape) {
    let expected: BTreeSet<&str> =
        catalogue::all().filter(|metric| metric.of.contains(&daemon)).map(|metric| metric.name).collect();
    let there: BTreeSet<&str> = scrape.families.keys().map(String::as_str).collect();
    assert_eq!(there, expected, "{daemon:?}");
    for metric in catalogue::all().filter(|metric| metric.of.contains(&daemon)) {
        let family = &scrape.families[metric.name];
        assert_eq!(
            (family.help.as_str(), family.kind.as_str()),
            (metric.help, metric.kind.as_str()),
            "{}",
            metric.name
        );
        let series = scrape.labels(metric.name);
        assert!(!series.is_empty(), "{} has no series", metric.name);
        match metric.labels {
            Labels::Open(names) => {
                for labels in &series {
                    assert_eq!(
                        labels.iter().map(|(label, _)| label.as_str()).collect::<Vec<_>>(),
                        names,
                        "{}",
                        metric.name
                    );
                }
            }
            known => {
                let known = known.known().into_iter().map(|labels| {
                    let mut labels: Vec<_> =
                        labels.iter().map(|(label, value)| (label.to_string(), value.to_string())).collect();
                    labels.sort();
                    labels
                });
                assert_eq!(
                    series,
                    known.collect(),
                    "{}: each series is there from the start, and no other",
                    metric.name
                );
            }
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_day_is_counted_and_every_metric_is_documented_and_every_query_finds_its_own(pool: PgPool) {
    let (api, worker) = a_day(&pool).await;

    assert_catalogued(Daemon::Api, &api);
    assert_catalogued(Daemon::Worker, &worker);
    for scrape in [&api, &worker] {
        let (good, said) = promtool(&["check", "metrics"], &scrape.text);
        assert!(good && said.trim().is_empty(), "{said}");
    }
    for (name, labels, value) in [
        ("shop_orders_placed_total", &[][..], 3.0),
        ("shop_orders_refused_total", &[("reason", "insufficient_stock")], 1.0),
        ("shop_idempotent_replays_total", &[], 1.0),
        ("shop_refunds_requested_total", &[], 1.0),
        ("shop_logins_total", &[("outcome", "succeeded")], 2.0),
        ("shop_logins_total", &[("outcome", "wrong_credentials")], 2.0),
        ("shop_api_errors_total", &[("code", "wrong_credentials")], 2.0),
        ("shop_api_errors_total", &[("code", "no_route")], 2.0),
        ("shop_rate_limit_decisions_total", &[("group", "login-account"), ("outcome", "refused")], 1.0),
        ("shop_conditional_requests_total", &[("result", "not_modified")], 1.0),
        ("shop_conditional_requests_total", &[("result", "modified")], 1.0),
        ("shop_live_sockets", &[], 0.0),
        ("shop_live_sockets_opened_total", &[("kind", "websocket")], 1.0),
        ("shop_ready", &[], 1.0),
        ("shop_postgres_up", &[], 1.0),
        ("shop_redis_up", &[], 1.0),
        ("http_requests_total", &[("method", "GET"), ("route", "/products/{id}"), ("status", "304")], 1.0),
        ("http_requests_total", &[("method", "GET"), ("route", "unmatched"), ("status", "404")], 2.0),
        ("http_request_duration_seconds_count", &[("method", "POST"), ("route", "/orders/{id}/refund")], 1.0),
    ] {
        assert_eq!(api.sum(name, labels), value, "{name} {labels:?}");
    }
    assert!(api.sum("shop_live_messages_total", &[("kind", "websocket"), ("message", "event")]) >= 1.0);
    for (name, labels, value) in [
        ("shop_orders_settled_total", &[("status", "COMPLETED")][..], 2.0),
        ("shop_orders_settled_total", &[("status", "FAILED")], 1.0),
        ("shop_orders_settled_total", &[("status", "REFUNDED")], 1.0),
        ("shop_job_attempts_total", &[("kind", "charge_payment"), ("outcome", "approved")], 2.0),
        ("shop_job_attempts_total", &[("kind", "charge_payment"), ("outcome", "declined")], 1.0),
        ("shop_job_attempts_total", &[("kind", "refund_payment"), ("outcome", "refunded")], 1.0),
        ("shop_jobs_settled_total", &[("kind", "charge_payment"), ("result", "dead")], 1.0),
        ("shop_job_start_lateness_seconds_count", &[("kind", "charge_payment")], 3.0),
        ("shop_gateway_requests_total", &[("operation", "charge")], 3.0),
        ("shop_gateway_requests_total", &[("operation", "refund"), ("outcome", "refunded")], 1.0),
        ("shop_jobs_due", &[], 0.0),
        ("shop_jobs_needing_operator", &[], 0.0),
        ("shop_workers_alive", &[], 1.0),
        ("shop_ready", &[], 1.0),
        ("shop_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0),
    ] {
        assert_eq!(worker.sum(name, labels), value, "{name} {labels:?}");
    }

    for (what, text) in [("alerts.yml", ALERTS), ("alerts_test.yml", ALERTS_TEST), ("shop.json", DASHBOARD)] {
        for name in metrics_of(text) {
            assert!(api.family(name).is_some() || worker.family(name).is_some(), "{what}: nobody exports {name}");
        }
    }
}

/// What looks like a metric of ours in a text.
fn metrics_of(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let ours = ["shop_", "http_", "process_", "tokio_"];
    words.filter(|word| ours.iter().any(|prefix| word.starts_with(prefix))).collect()
}

#[test]
fn every_metric_is_on_the_dashboard() {
    let shown = metrics_of(DASHBOARD);
    for metric in catalogue::all() {
        let bucket = format!("{}_bucket", metric.name);
        let queried = if matches!(metric.kind, Kind::Histogram(_)) { bucket.as_str() } else { metric.name };
        // Sizes that nobody looks at by the hour.
        assert!(shown.contains(queried) || queried == "process_virtual_memory_bytes", "{queried}");
    }
}

#[test]
fn the_dashboard_has_one_data_source_that_can_be_chosen_and_no_panel_twice() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    assert_eq!(dashboard["templating"]["list"][0]["name"], "datasource");
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()));
        assert!(titles.insert(panel["title"].as_str().unwrap()), "{}", panel["title"]);
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}");
            assert!(
                !panel["targets"].as_array().unwrap().is_empty() && !panel["description"].as_str().unwrap().is_empty()
            );
        }
    }
}

#[test]
fn alerts_fire_when_they_should_says_promtool() {
    for arguments in [
        &["check", "rules", "deploy/prometheus/alerts.yml"][..],
        &["check", "config", "deploy/prometheus/prometheus.yml"],
        &["test", "rules", "deploy/prometheus/alerts_test.yml"],
    ] {
        let (good, said) = promtool(arguments, "");
        assert!(good, "{said}");
    }
}

#[test]
fn every_alert_is_tested_and_says_how_bad_it_is_and_what_to_do() {
    let mut alerts = ALERTS.split("- alert: ").skip(1).peekable();
    assert!(alerts.peek().is_some());
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        assert!(alert.contains("severity: critical\n") || alert.contains("severity: warning\n"), "{name}");
        for annotation in ["summary: ", "description: "] {
            assert!(alert.contains(annotation), "{name} has no {annotation}");
        }
        let runbook = format!("runbook: docs/operating.md#{}\n", name.to_lowercase());
        assert!(alert.contains(&runbook), "{name} has no {runbook}");
        assert!(OPERATING.contains(&format!("### {name}\n")), "docs/operating.md has no section {name}");
        assert!(ALERTS_TEST.contains(&format!("alertname=\"{name}\"")), "{name} has no test");
    }
}
