//! The API keeps what its document promises: schemathesis asks for what the document allows, and for what it does not.
//!
//! `make test` asks little, with the same seed each time; `make contract` asks for long. See e2e/contract/README.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use shop_common::db::MIGRATOR;
use shop_common::seed;
use shop_e2e::{Caller, PASSWORD, mug};
use shop_testkit::binaries::{Api, Environment};
use sqlx::PgPool;

/// How many requests of each operation and phase are made up in `make test`.
const FEW: &str = "10";
const SEED: &str = "1";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contract")
}

/// A setting of `make contract`, or what it is in `make test`.
fn setting(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

/// Runs schemathesis with that token, and gives what it has to say when it has found something.
fn findings(api: &str, product: &str, token: Option<String>) -> Result<(), String> {
    let program = folder().join(".venv/bin/schemathesis");
    assert!(program.exists(), "run e2e/contract/install.sh, as `make test` does");
    let mut command = Command::new(program);
    command.current_dir(folder()).args(["--no-color", "run", "../../docs/openapi.json", "--url", api]);
    command.args(["--max-examples", &setting("SHOP_CONTRACT_EXAMPLES", FEW)]);
    command.args(["--seed", &setting("SHOP_CONTRACT_SEED", SEED)]);
    command.args(["--generation-database", "none", "--suppress-health-check", "all", "--continue-on-failure"]);
    command
        .env("SHOP", api)
        .env("SHOP_PRODUCT", product)
        .env("SHOP_LEAVER", "leaver@example.com")
        .env("SHOP_PASSWORD", PASSWORD);
    command.envs(token.iter().map(|token| ("SHOP_TOKEN", token)));
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    if let Some((_, summary)) = said.split_once("= SUMMARY =") {
        eprintln!("{summary}");
    }
    if output.status.success() { Ok(()) } else { Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr))) }
}

/// Holds a shop with something in it against the document, with the token of somebody.
async fn asked_by(pool: &PgPool, token: impl AsyncFnOnce(&Api) -> Option<String>) {
    // A token lives for as long as the long run takes.
    let shop = Environment::new(pool).with("ROCKET_AUTH", "{token_seconds=86400}");
    let (api, _worker) = (shop.api(), shop.worker());
    let mug = mug(pool, &api).await;
    Caller::customer(&api.url, "leaver").await;
    let token = token(&api).await;

    let url = api.url.clone();
    let held = token.clone();
    let found = tokio::task::spawn_blocking(move || findings(&url, &mug, token)).await.unwrap();

    let wrong: Vec<String> =
        api.process.log().lines().filter(|line| line.contains(r#""level":"ERROR""#)).map(str::to_owned).collect();
    if let Err(said) = found {
        panic!("{said}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    if let Some(token) = held {
        let still = Caller::nobody(&api.url).with_token(&token).get("/auth/me").await;
        assert_eq!(
            still.status, 200,
            "the token was lost on the way, and with it the sense of the run: {}",
            still.text
        );
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_document_is_kept_towards_nobody_in_particular(pool: PgPool) {
    asked_by(&pool, async |_| None).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_document_is_kept_towards_customers(pool: PgPool) {
    asked_by(&pool, async |api| {
        // Not the password of the document's examples: they would change it, and end the session.
        let account = json!({ "email": "grace@example.com", "password": "Lantern-4-orchard" });
        let registered = Caller::nobody(&api.url).post("/register", account).await;
        registered.json["access_token"].as_str().map(str::to_owned)
    })
    .await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_document_is_kept_towards_admins(pool: PgPool) {
    asked_by(&pool, async |api| {
        Caller::login(&api.url, seed::ADMIN_EMAIL, "password").await.token().map(str::to_owned)
    })
    .await;
}
