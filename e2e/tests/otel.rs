//! What the programs with the feature `otel` send to a collector, which is a stub of a few lines here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures::future::join_all;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use reqwest::Method;
use shop_common::db::MIGRATOR;
use shop_common::trace::TraceParent;
use shop_e2e::{Answer, Caller, eventually, mug, order, read};
use shop_testkit::binaries::{Api, Environment, Process, program};
use sqlx::PgPool;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// A request as a stub hears it: its first line, its headers in lower case, its body.
struct Heard {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Heard {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A server on a port of its own that answers everything with a status and JSON (or nothing). Gives its URL.
async fn stub(answer: impl Fn(Heard) -> (&'static str, &'static str) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (answer, mut client) = (Arc::clone(&answer), BufReader::new(client));
            tokio::spawn(async move {
                while let Some(heard) = hear(&mut client).await {
                    let (status, body) = answer(heard);
                    let head = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    client.write_all(head.as_bytes()).await.unwrap();
                }
            });
        }
    });
    url
}

async fn hear(client: &mut BufReader<tokio::net::TcpStream>) -> Option<Heard> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if client.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let line = head.remove(0);
    let header = |line: &String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: Vec<(String, String)> = head.iter().filter_map(header).collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    client.read_exact(&mut body).await.ok()?;
    Some(Heard { line, headers, body })
}

/// A span that has arrived, and the program that sent it.
#[derive(Debug, Clone)]
struct Arrived {
    service: String,
    span: Span,
}

impl Arrived {
    fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }

    fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    fn value(&self, key: &str) -> Option<String> {
        value(&self.span.attributes, key)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn value(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match &found.value {
        Some(AnyValue { value: Some(Any::StringValue(text)) }) => Some(text.clone()),
        Some(AnyValue { value: Some(Any::IntValue(number)) }) => Some(number.to_string()),
        other => panic!("{key} is {other:?}"),
    }
}

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector {
    arrived: Arc<Mutex<Vec<Arrived>>>,
    keys: Arc<Mutex<BTreeSet<String>>>,
    url: String,
}

impl Collector {
    async fn open() -> Self {
        let collector = Self::default();
        let taking = collector.clone();
        let url = stub(move |heard| {
            taking.take(&heard);
            ("200 OK", "")
        })
        .await;
        Self { url, ..collector }
    }

    fn take(&self, heard: &Heard) {
        assert!(heard.line.starts_with("POST /v1/traces "), "{}", heard.line);
        assert_eq!(heard.header("content-type"), Some("application/x-protobuf"));
        self.keys.lock().unwrap().extend(heard.header("x-api-key").map(str::to_owned));
        for group in ExportTraceServiceRequest::decode(&*heard.body).unwrap().resource_spans {
            let service = value(&group.resource.unwrap().attributes, "service.name").unwrap();
            let spans = group.scope_spans.into_iter().flat_map(|scope| scope.spans);
            let arrived = spans.map(|span| Arrived { service: service.clone(), span });
            self.arrived.lock().unwrap().extend(arrived);
        }
    }

    fn all(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    fn named(&self, name: &str, trace: &str) -> Vec<Arrived> {
        let mut spans = self.all();
        spans.retain(|arrived| arrived.span.name == name && arrived.trace() == trace);
        spans.sort_by_key(|arrived| arrived.span.start_time_unix_nano);
        spans
    }

    /// Waits until so many spans of that name have arrived in a trace, and gives them by their start.
    async fn gets(&self, count: usize, name: &str, trace: &str) -> Vec<Arrived> {
        eventually(&format!("{count} × {name} arrive"), async || self.named(name, trace).len() >= count).await;
        let spans = self.named(name, trace);
        assert_eq!(spans.len(), count, "{name}");
        spans
    }
}

/// A shop that sends its spans there, a moment after they have ended.
fn environment(pool: &PgPool, collector: &str) -> Environment {
    assert!(program("examples/otel-api").exists());
    Environment::new(pool)
        .with("ROCKET_JOBS", "{base_ms=20}")
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .with("OTEL_BSP_SCHEDULE_DELAY", "50")
}

fn start(shop: &Environment) -> (Api, Process) {
    (shop.api_of("examples/otel-api"), shop.worker_of("examples/otel-worker"))
}

async fn ordered(caller: &Caller, product: &str, method: &str, traceparent: &str) -> Answer {
    let request = caller.request(Method::POST, "/orders?ignored=secret").header("traceparent", traceparent);
    let answer = read(request.json(&order(product, 1, method)).send().await.unwrap()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer
}

fn parent(answer: &Answer) -> TraceParent {
    answer.header("traceparent").unwrap().parse().unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_request_its_placement_its_attempts_and_their_calls_arrive_as_one_trace(pool: PgPool) {
    let collector = Collector::open().await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    let gateway = stub(move |heard| {
        // An audit, which is no attempt.
        if heard.line.starts_with("GET /charges?") {
            return ("200 OK", r#"{"charges":[]}"#);
        }
        let mut told = hears.lock().unwrap();
        told.push(heard.header("traceparent").unwrap().parse::<TraceParent>().unwrap());
        match told.len() {
            1 => ("503 Service Unavailable", r#"{"state":"failed"}"#),
            _ => ("200 OK", r#"{"state":"captured","reference":"r-1"}"#),
        }
    })
    .await;
    let shop = environment(&pool, &collector.url).with("ROCKET_GATEWAY", &format!("{{url=\"{gateway}\"}}"));
    let (api, _worker) = start(&shop);
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;

    let placed = ordered(&ada, &mug, "card", PARENT).await;

    let (trace, id) = (parent(&placed).trace_id.to_string(), placed.json["id"].as_str().unwrap());
    ada.order_becomes(id, "COMPLETED").await;
    let server = &collector.gets(1, "POST /orders", &trace).await[0];
    assert_eq!((server.parent().as_str(), server.id()), (&PARENT[36..52], parent(&placed).span_id.to_string()));
    assert_eq!((server.service.as_str(), server.span.kind()), ("shop-api", SpanKind::Server));
    for (key, expected) in [
        ("http.request.method", "POST"),
        ("http.route", "/orders"),
        ("http.response.status_code", "201"),
        ("url.path", "/orders"),
        ("shop.outcome", "placed"),
        ("shop.order.id", id),
        ("shop.request.id", placed.header("x-request-id").unwrap()),
    ] {
        assert_eq!(server.value(key).as_deref(), Some(expected), "{key}");
    }
    assert!(!format!("{server:?}").contains("secret"), "what is after the question mark is nobody's business");

    let group = &collector.gets(1, "place orders", &trace).await[0];
    assert_eq!((group.parent(), group.value("shop.group.size").as_deref()), (server.id(), Some("1")));

    let attempts = collector.gets(2, "attempt charge_payment", &trace).await;
    let calls = collector.gets(2, "POST /charges", &trace).await;
    let settlements = collector.gets(2, "settle payments", &trace).await;
    let told = told.lock().unwrap().clone();
    for (n, attempt) in attempts.iter().enumerate() {
        assert_eq!((attempt.service.as_str(), attempt.span.kind()), ("shop-worker", SpanKind::Consumer));
        assert_eq!(attempt.parent(), server.id(), "the request is the cause of each attempt");
        let outcome = ["transient", "approved"][n];
        for (key, expected) in [("job.kind", "charge_payment"), ("shop.outcome", outcome), ("shop.order.id", id)] {
            assert_eq!(attempt.value(key).as_deref(), Some(expected), "{key}");
        }
        assert_eq!(attempt.value("job.id"), attempts[0].value("job.id"));
        assert_eq!(attempt.span.status.clone().unwrap_or_default().code, [2, 0][n], "a failure is an error");

        assert_eq!((calls[n].parent(), calls[n].span.kind()), (attempt.id(), SpanKind::Client));
        assert_eq!(calls[n].value("http.response.status_code").as_deref(), Some(["503", "200"][n]));
        assert_eq!((told[n].trace_id.to_string(), told[n].span_id.to_string()), (trace.clone(), calls[n].id()));
        assert_eq!(settlements[n].parent(), attempt.id());
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn orders_that_share_a_transaction_are_linked_to_it(pool: PgPool) {
    let collector = Collector::open().await;
    let (api, _worker) = start(&environment(&pool, &collector.url));
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;
    let shared = || {
        let spans = collector.all();
        spans.into_iter().find(|arrived| arrived.span.name == "place orders" && arrived.span.links.len() > 1)
    };

    let answers = Mutex::new(Vec::new());
    eventually("orders go together", async || {
        let some = join_all((0..20).map(|_| ada.order(&mug, 1, "pm_sim_success"))).await;
        answers.lock().unwrap().extend(some.iter().map(|answer| parent(answer).span_id.to_string()));
        shared().is_some()
    })
    .await;

    let group = shared().unwrap();
    let requests = answers.into_inner().unwrap();
    assert_eq!(group.parent(), "", "it belongs to none of them more than to another");
    assert_eq!(group.value("shop.group.size"), Some(group.span.links.len().to_string()));
    assert!(group.span.links.iter().all(|link| requests.contains(&hex(&link.span_id))));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_last_spans_are_sent_at_the_end_under_the_given_name(pool: PgPool) {
    let collector = Collector::open().await;
    let shop = environment(&pool, &collector.url)
        .with("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        .with("OTEL_RESOURCE_ATTRIBUTES", "service.name=another,deployment.environment.name=test")
        .with("OTEL_SERVICE_NAME", "shop-of-mine");
    let api = shop.api_of("examples/otel-api");
    let answer = Caller::nobody(&api.url).get("/products").await;
    let trace = parent(&answer).trace_id.to_string();
    assert!(parent(&answer).sampled, "who begins a trace says that it is recorded");
    assert!(collector.named("GET /products", &trace).is_empty());

    assert_eq!(api.process.terminate(), Some(0));

    let span = &collector.gets(1, "GET /products", &trace).await[0];
    assert_eq!((span.service.as_str(), span.parent().as_str()), ("shop-of-mine", ""));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn headers_for_the_collector_get_there_and_into_no_log(pool: PgPool) {
    const KEY: &str = "canary-5be1";
    let collector = Collector::open().await;
    let shop = environment(&pool, &collector.url)
        .with("OTEL_EXPORTER_OTLP_HEADERS", &format!("x-api-key={KEY}"))
        .with("SHOP_LOG", "trace");
    let api = shop.api_of("examples/otel-api");

    let answer = Caller::nobody(&api.url).get("/products").await;

    collector.gets(1, "GET /products", &parent(&answer).trace_id.to_string()).await;
    assert_eq!(*collector.keys.lock().unwrap(), BTreeSet::from([KEY.to_owned()]));
    assert!(api.process.log().contains("TRACE") && !api.process.log().contains(KEY));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_trace_that_is_not_sampled_is_followed_and_not_sent(pool: PgPool) {
    let collector = Collector::open().await;
    let (api, _worker) = start(&environment(&pool, &collector.url));
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;

    let quiet = ordered(&ada, &mug, "pm_sim_success", UNSAMPLED).await;
    let loud = ordered(&ada, &mug, "pm_sim_success", PARENT).await;

    collector.gets(1, "attempt charge_payment", &parent(&loud).trace_id.to_string()).await;
    ada.order_becomes(quiet.json["id"].as_str().unwrap(), "COMPLETED").await;
    let trace = parent(&quiet).trace_id.to_string();
    assert_eq!((trace.as_str(), parent(&quiet).sampled), (&UNSAMPLED[3..35], false));
    assert!(collector.all().iter().all(|arrived| arrived.trace() != trace));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn nothing_is_sent_where_the_environment_says_so(pool: PgPool) {
    let collector = Collector::open().await;
    for (name, value) in
        [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_TRACES_SAMPLER", "always_off")]
    {
        let api = environment(&pool, &collector.url).with(name, value).api_of("examples/otel-api");
        let answer = Caller::nobody(&api.url).get("/products").await;
        assert!(!parent(&answer).sampled, "{name}");
        assert_eq!(api.process.terminate(), Some(0), "{name}");
    }
    assert!(collector.all().is_empty());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_collector_that_is_away_or_silent_costs_nothing_but_its_spans(pool: PgPool) {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        gone.local_addr().unwrap()
    };
    for (n, address) in [silent.local_addr().unwrap(), away].into_iter().enumerate() {
        // So few fit that most have to be dropped.
        let shop = environment(&pool, &format!("http://{address}")).with("OTEL_BSP_MAX_QUEUE_SIZE", "4");
        let (api, worker) = start(&shop);
        let mug = mug(&pool, &api).await;
        let ada = Caller::customer(&api.url, &format!("ada-{n}")).await;

        let answers = join_all((0..50).map(|_| ada.order(&mug, 1, "pm_sim_success"))).await;

        for answer in answers {
            assert_eq!(answer.status, 201, "{}", answer.text);
            ada.order_becomes(answer.json["id"].as_str().unwrap(), "COMPLETED").await;
        }
        assert_eq!((worker.terminate(), api.process.terminate()), (Some(0), Some(0)));
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_collector_that_cannot_be_spoken_to_is_told_at_the_start(pool: PgPool) {
    for (url, complaint) in
        [("https://collector.example:4318", "cannot speak TLS"), ("no url at all", "spans cannot be exported")]
    {
        let output = environment(&pool, url).command("examples/otel-worker").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(complaint), "{said}");
    }
}
