//! Traces and logs: one trace is followed from a request into every attempt at its job, by the lines of the real programs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Map, Value, json};
use shop_common::db::MIGRATOR;
use shop_common::seed;
use shop_common::trace::TraceParent;
use shop_e2e::{Answer, Caller, PASSWORD, eventually, mug, order, read};
use shop_testkit::binaries::{Environment, Process};
use sqlx::PgPool;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OTHER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
const FIELDS: &str = include_str!("../../docs/logs.md");

/// Quick tries, so that a test with retries is quick too.
fn environment(pool: &PgPool) -> Environment {
    Environment::new(pool).with("ROCKET_JOBS", "{base_ms=20}")
}

async fn send(caller: &Caller, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut request = caller.request(Method::POST, path).json(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    read(request.send().await.unwrap()).await
}

fn parent(answer: &Answer) -> TraceParent {
    answer.header("traceparent").unwrap().parse().unwrap()
}

/// All lines of a program, each of which is a JSON object.
fn lines(program: &Process) -> Vec<Map<String, Value>> {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON object: {line}"));
    program.log().lines().map(read).collect()
}

/// The lines of one kind that belong to a trace.
fn of_trace(program: &Process, message: &str, trace: &str) -> Vec<Map<String, Value>> {
    let mut lines = lines(program);
    lines.retain(|line| line["message"] == message && line.get("trace_id").is_some_and(|id| id == trace));
    lines
}

/// The value of a field that must be there, as text.
fn text(line: &Map<String, Value>, field: &str) -> String {
    let value = line.get(field).unwrap_or_else(|| panic!("no {field}: {line:?}"));
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

async fn kept(pool: &PgPool, order: &str) -> (Option<String>, Option<String>) {
    sqlx::query_as("SELECT traceparent, tracestate FROM jobs WHERE order_id = $1::uuid ORDER BY id DESC LIMIT 1")
        .bind(order)
        .fetch_one(pool)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn one_trace_goes_from_a_request_through_all_attempts_and_every_line_says_so(pool: PgPool) {
    let shop = environment(&pool);
    let (api, worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;

    let order = order(&mug, 1, "pm_sim_decline_1_then_success");
    let placed = send(&ada, "/orders", &[("traceparent", PARENT)], &order).await;

    assert_eq!(placed.status, 201, "{}", placed.text);
    let answered = parent(&placed);
    assert_eq!((answered.trace_id.to_string().as_str(), answered.sampled), (TRACE, true));
    let id = placed.json["id"].as_str().unwrap();
    ada.order_becomes(id, "COMPLETED").await;
    eventually("both attempts are in the log", async || of_trace(&worker, "attempt", TRACE).len() == 2).await;

    let requests = of_trace(&api.process, "request", TRACE);
    let [request] = requests.as_slice() else { panic!("one line for one request: {requests:?}") };
    assert_eq!(text(request, "span_id"), answered.span_id.to_string());
    assert_eq!(text(request, "request_id"), placed.header("x-request-id").unwrap());
    assert_eq!((text(request, "method"), text(request, "route")), ("POST".to_owned(), "/orders".to_owned()));
    assert_eq!((text(request, "status"), text(request, "outcome")), ("201".to_owned(), "placed".to_owned()));
    assert!(text(request, "us").parse::<u64>().unwrap() > 0);
    let me = ada.get("/auth/me").await;
    assert_eq!(
        (text(request, "order_id").as_str(), text(request, "user_id")),
        (id, text(me.json.as_object().unwrap(), "id"))
    );

    let attempts = of_trace(&worker, "attempt", TRACE);
    let spans: BTreeSet<String> = attempts.iter().chain([request]).map(|line| text(line, "span_id")).collect();
    assert_eq!(spans.len(), 3, "each is a span of its own");
    for (line, number) in attempts.iter().zip(["1", "2"]) {
        for field in ["request_id", "order_id", "payment_id", "job_id", "user_id"] {
            assert_eq!(text(line, field), text(request, field), "{field}");
        }
        assert_eq!((text(line, "attempt").as_str(), text(line, "kind").as_str()), (number, "charge_payment"));
        assert!(text(line, "us").parse::<u64>().unwrap() >= text(line, "gateway_us").parse::<u64>().unwrap());
    }
    let ends = attempts.iter().map(|line| (text(line, "outcome"), text(line, "settled"))).collect::<Vec<_>>();
    assert_eq!(ends, [("declined", "again"), ("approved", "COMPLETED")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(text(&attempts[0], "code"), "try_again_later");
    assert!(attempts[0].contains_key("again_in_ms") && !attempts[1].contains_key("again_in_ms"));

    let shown =
        shop.command("shopctl").args(["jobs", "show", &text(request, "job_id"), "-o", "json"]).output().unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["trace"], answered.to_string());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refund_goes_on_with_the_trace_of_who_asked_for_it(pool: PgPool) {
    let shop = environment(&pool);
    let (api, worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let admin = Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await;
    let placed = ada.order(&mug, 1, "pm_sim_success").await;
    let id = placed.json["id"].as_str().unwrap();
    ada.order_becomes(id, "COMPLETED").await;

    let headers = [("traceparent", PARENT), ("tracestate", "vendor=opaque")];
    let asked = send(&admin, &format!("/orders/{id}/refund"), &headers, &json!({ "restock": true })).await;

    assert_eq!(asked.status, 202, "{}", asked.text);
    assert_eq!(kept(&pool, id).await, (Some(parent(&asked).to_string()), Some("vendor=opaque".to_owned())));
    ada.order_becomes(id, "REFUNDED").await;
    eventually("the attempt is in the log", async || of_trace(&worker, "attempt", TRACE).len() == 1).await;
    let (request, attempt) = (&of_trace(&api.process, "request", TRACE)[0], &of_trace(&worker, "attempt", TRACE)[0]);
    for (line, field, value) in [
        (request, "order_id", id),
        (request, "route", "/orders/<id>/refund"),
        (request, "job_id", &text(attempt, "job_id")),
        (attempt, "order_id", id),
        (attempt, "kind", "refund_payment"),
        (attempt, "outcome", "refunded"),
        (attempt, "settled", "REFUNDED"),
    ] {
        assert_eq!(text(line, field), value, "{field}");
    }
    assert_ne!(text(request, "user_id"), text(attempt, "user_id"), "an admin asks, and it is a customer's order");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_no_traceparent_begins_a_new_trace_and_what_is_beside_a_good_one_is_kept(pool: PgPool) {
    let shop = environment(&pool);
    let api = shop.api();
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let order = order(&mug, 1, "pm_sim_success");

    let mut traces = BTreeSet::from([TRACE.to_owned()]);
    for headers in [
        &[][..],
        &[("traceparent", "nonsense"), ("tracestate", "vendor=opaque")],
        &[("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01")],
        &[("traceparent", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01")],
        &[("traceparent", PARENT), ("traceparent", PARENT)],
    ] {
        let placed = send(&ada, "/orders", headers, &order).await;
        assert!(traces.insert(parent(&placed).trace_id.to_string()), "{headers:?} begins a new trace");
        let id = placed.json["id"].as_str().unwrap();
        assert_eq!(kept(&pool, id).await, (placed.header("traceparent").map(str::to_owned), None), "{headers:?}");
    }

    let headers = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", " b=2 ")];
    let placed = send(&ada, "/orders", &headers, &order).await;
    assert_eq!(parent(&placed).trace_id.to_string(), TRACE);
    assert_eq!(kept(&pool, placed.json["id"].as_str().unwrap()).await.1.as_deref(), Some("a=1,b=2"));
    let refused = ada.get("/nowhere").await;
    assert_eq!(refused.status, 404);
    parent(&refused);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_replay_has_a_trace_of_its_own_and_the_job_keeps_the_first(pool: PgPool) {
    let shop = environment(&pool);
    let api = shop.api();
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let order = order(&mug, 1, "pm_sim_success");

    let first = send(&ada, "/orders", &[("traceparent", PARENT), ("idempotency-key", "cart-7")], &order).await;
    let again = send(&ada, "/orders", &[("traceparent", OTHER), ("idempotency-key", "cart-7")], &order).await;

    assert_eq!((again.status, &again.text, again.header("idempotency-replayed")), (201, &first.text, Some("true")));
    assert_eq!(parent(&again).trace_id, OTHER.parse::<TraceParent>().unwrap().trace_id);
    let id = first.json["id"].as_str().unwrap();
    assert_eq!(kept(&pool, id).await.0, first.header("traceparent").map(str::to_owned));
    let other = parent(&again).trace_id.to_string();
    eventually("the replay is in the log", async || of_trace(&api.process, "request", &other).len() == 1).await;
    let line = &of_trace(&api.process, "request", &other)[0];
    assert_eq!((text(line, "outcome").as_str(), text(line, "order_id").as_str()), ("replayed", id));
    assert!(!line.contains_key("job_id"), "it made no job");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn pages_of_other_origins_may_send_a_trace_and_read_the_one_of_the_answer(pool: PgPool) {
    let api = environment(&pool).with("ROCKET_LIVE", r#"{origins=["https://shop.example"]}"#).api();
    let nobody = Caller::nobody(&api.url);
    let ask = async |method: Method| {
        read(nobody.request(method, "/products").header("Origin", "https://shop.example").send().await.unwrap()).await
    };

    let (preflight, answer) = (ask(Method::OPTIONS).await, ask(Method::GET).await);

    assert!(preflight.header("access-control-allow-headers").unwrap().ends_with("traceparent, tracestate"));
    assert!(answer.header("access-control-expose-headers").unwrap().contains("traceparent"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn there_is_one_line_for_each_request_and_attempt_with_documented_fields_and_no_secret(pool: PgPool) {
    let shop = environment(&pool);
    let (api, worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let orders =
        ["pm_sim_success", "pm_sim_decline_card_declined", "pm_sim_flaky_1"].map(|method| order(&mug, 1, method));
    for (n, order) in orders.iter().enumerate() {
        let placed = send(&ada, "/orders", &[("x-request-id", &format!("order-{n}"))], order).await;
        let end = if n == 1 { "FAILED" } else { "COMPLETED" };
        ada.order_becomes(placed.json["id"].as_str().unwrap(), end).await;
    }
    send(&ada, "/orders", &[("x-request-id", "refused")], &order(&mug, 1_000_000, "test")).await;
    Caller::nobody(&api.url).post("/login", json!({ "email": "ada@example.com", "password": "Wr0ng-horse" })).await;
    send(&ada, "/orders", &[("x-request-id", "the-last-one")], &json!({})).await;
    eventually("the logs are complete", async || {
        api.process.log().contains("the-last-one") && worker.log().matches(r#""message":"attempt""#).count() == 4
    })
    .await;

    let requests: Vec<_> = lines(&api.process).into_iter().filter(|line| line["message"] == "request").collect();
    let ids: BTreeSet<String> = requests.iter().map(|line| text(line, "request_id")).collect();
    assert_eq!(ids.len(), requests.len(), "one line for each");
    let outcome = |id: &str| text(requests.iter().find(|line| line["request_id"] == id).unwrap(), "outcome");
    assert_eq!(["order-0", "refused", "the-last-one"].map(outcome), ["placed", "refused", "invalid_body"]);
    let attempts: i64 = sqlx::query_scalar("SELECT count(*) FROM payment_attempts").fetch_one(&pool).await.unwrap();
    assert_eq!(attempts, 4);

    let documented = |field: &str| FIELDS.contains(&format!("| `{field}` |"));
    let everything = lines(&api.process).into_iter().chain(lines(&worker));
    for line in everything.filter(|line| line["message"] == "request" || line["message"] == "attempt") {
        let unknown: Vec<_> = line.keys().filter(|field| !documented(field)).collect();
        assert!(unknown.is_empty(), "docs/logs.md does not have {unknown:?} of {line:?}");
    }
    let logs = format!("{}{}", api.process.log(), worker.log());
    for secret in ["ada@example.com", seed::ADMIN_EMAIL, PASSWORD, "Wr0ng-horse", ada.token().unwrap()] {
        assert!(!logs.contains(secret), "{secret} is in the logs");
    }
}
