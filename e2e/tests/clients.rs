//! The shop with the clients that people use: the real socket.io-client, every example of docs/live-status.md, a browser, Postman.
//!
//! `make test` installs what they need (`e2e/clients/install.sh`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use futures::future::join_all;
use shop_common::db::MIGRATOR;
use shop_e2e::{Caller, eventually, mug};
use shop_testkit::binaries::{Api, Environment, program};
use sqlx::PgPool;

const DOCUMENTATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/live-status.md");

/// Settings for a script, by their names.
type Settings = Vec<(&'static str, String)>;

/// What every script is told: where the shop is, who the customer is, and what can be bought.
async fn customer(api: &Api, mug: &str, name: &str) -> Settings {
    let token = Caller::customer(&api.url, name).await.token().unwrap().to_owned();
    vec![("SHOP", api.url.clone()), ("TOKEN", token), ("PRODUCT", mug.to_owned())]
}

/// Runs a script of `e2e/clients` to its end.
async fn node(script: &'static str, arguments: Vec<&'static str>, settings: Settings) {
    let run = move || {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients").join(script);
        assert!(script.with_file_name("node_modules").exists(), "run e2e/clients/install.sh, as `make test` does");
        let mut command = Command::new("node");
        let output = command.arg(script).args(&arguments).envs(settings).stdin(Stdio::null()).output().unwrap();
        let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {said}{wrong}");
    };
    tokio::task::spawn_blocking(run).await.unwrap();
}

async fn journey(name: &'static str, settings: Settings) {
    node("journey.mjs", vec![name], settings).await;
}

async fn example(name: &'static str, settings: Settings) {
    node("snippets.mjs", vec![name, DOCUMENTATION], settings).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn socket_io_clients_are_served_over_each_transport_and_with_both_kinds_of_tokens(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, _worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;

    join_all(["polling", "websocket", "default", "header"].map(async |name| {
        journey(name, customer(&api, &mug, name).await).await;
    }))
    .await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn socket_io_clients_are_refused_without_a_good_token(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, short, foreign) = (
        shop.api(),
        shop.clone().with("ROCKET_AUTH", "{token_seconds=1}").api(),
        shop.clone().with("ROCKET_AUTH", r#"{audience="another-shop"}"#).api(),
    );
    let mut settings = customer(&api, "none", "ada").await;
    let expired = Caller::customer(&short.url, "bob").await;
    eventually("the token has expired", async || expired.get("/orders").await.status == 401).await;
    let foreign = Caller::customer(&foreign.url, "eve").await;
    for (name, caller) in [("EXPIRED", expired), ("FOREIGN", foreign)] {
        settings.push((name, caller.token().unwrap().to_owned()));
    }

    journey("refused", settings).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn socket_io_clients_come_back_to_what_they_missed_and_leave_with_their_tokens(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, _worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let expiring = async || {
        let short = shop.clone().with("ROCKET_AUTH", "{token_seconds=8}").api();
        let mut settings = customer(&api, &mug, "expiry").await;
        let token = Caller::login(&short.url, "expiry@example.com", shop_e2e::PASSWORD).await;
        settings.push(("SHORT", token.token().unwrap().to_owned()));
        journey("expiry", settings).await;
    };
    let coming_back = async |name| journey(name, customer(&api, &mug, name).await).await;

    futures::join!(expiring(), coming_back("resume"), coming_back("resync"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_examples_for_node_and_the_shell_show_a_new_order(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, _worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;

    join_all(["node-socket-io", "node-ws", "websocat"].map(async |name| {
        example(name, customer(&api, &mug, name).await).await;
    }))
    .await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_example_for_browsers_works_on_pages_of_allowed_origins_only(pool: PgPool) {
    let page = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shop = Environment::new(&pool);
    let origins = format!(r#"{{origins=["http://127.0.0.1:{page}"]}}"#);
    let (api, _worker) = (shop.clone().with("ROCKET_LIVE", &origins).api(), shop.worker());
    let closed = shop.with("ROCKET_LIVE", "{origins=[]}").api();
    let mug = mug(&pool, &api).await;
    let mut settings = customer(&api, &mug, "ada").await;
    settings.extend([("PAGE_PORT", page.to_string()), ("SHOP2", closed.url.clone())]);

    example("browser", settings.clone()).await;
    example("browser-foreign-origin", settings).await;
}

/// A child process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_example_for_rust_shows_a_new_order(pool: PgPool) {
    let written = std::fs::read_to_string(DOCUMENTATION).unwrap();
    let source = include_str!("../examples/live_status.rs");
    assert!(
        written.contains(&format!("<!-- snippet: rust -->\n```rust\n{source}```\n")),
        "docs/live-status.md does not show e2e/examples/live_status.rs"
    );
    let shop = Environment::new(&pool);
    let (api, _worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let ada = Caller::customer(&api.url, "ada").await;

    let mut command = Command::new(program("examples/live_status"));
    command.env("SHOP", &api.url).env("TOKEN", ada.token().unwrap()).stdout(Stdio::piped());
    let mut example = Running(command.spawn().unwrap());
    let placed = ada.order(&mug, 1, "pm_sim_success").await;

    let id = placed.json["id"].as_str().unwrap().to_owned();
    let lines = BufReader::new(example.0.stdout.take().unwrap()).lines();
    let shown = tokio::task::spawn_blocking(move || lines.map_while(Result::ok).take(3).collect::<Vec<_>>());
    let expected = ["1 PENDING", "2 PROCESSING", "4 COMPLETED"].map(|line| line.replacen(' ', &format!(" {id} "), 1));
    assert_eq!(shown.await.unwrap(), expected);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn on_the_page_of_the_document_a_newcomer_logs_in_orders_and_sees_the_status(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, _worker) = (shop.api(), shop.worker());
    let mug = mug(&pool, &api).await;
    let mut settings = customer(&api, &mug, "ada").await;
    settings.extend([("EMAIL", "ada@example.com".to_owned()), ("PASSWORD", shop_e2e::PASSWORD.to_owned())]);

    node("docs.mjs", Vec::new(), settings).await;
}

const COLLECTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/postman.json");

#[test]
fn the_postman_collection_is_made_from_the_document() {
    let generator = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/postman.mjs");
    let output = Command::new("node").arg(generator).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let copy = std::fs::read(COLLECTION).unwrap();
    assert!(copy == output.stdout, "docs/postman.json is old, `make postman` writes it anew");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_journey_of_the_postman_collection_goes_well(pool: PgPool) {
    let shop = Environment::new(&pool);
    let (api, _worker) = (shop.api(), shop.worker());
    mug(&pool, &api).await;

    node("newman.mjs", vec![COLLECTION], vec![("SHOP", api.url.clone())]).await;
}
