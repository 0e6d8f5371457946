//! `shopctl up`, `status` and `down`: a whole shop with servers of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use shop_e2e::{Caller, PASSWORD};
use shop_testkit::binaries::program;

fn shopctl(folder: &Path, arguments: &[&str]) -> Output {
    shopctl_with(folder, arguments, &[])
}

fn shopctl_with(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(program("shopctl"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("DATABASE_URL")
        .env_remove("REDIS_URL")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

/// Stops the shop whatever becomes of the test.
struct Down<'a>(&'a Path);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        shopctl(self.0, &["down"]);
    }
}

#[tokio::test]
async fn a_shop_comes_up_takes_an_order_goes_down_and_finds_its_data_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let port = free_port();
    let up = |gateway: &[(&str, &str)]| {
        let output = shopctl_with(folder, &["up", "--detach", "--yes", "--port", &port], gateway);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let _down = Down(folder);

    let said = up(&[]);
    let url = format!("http://127.0.0.1:{port}");
    assert!(said.contains(&url) && said.contains("pm_sim_flaky_2"), "{said}");
    let status: Value = serde_json::from_slice(&shopctl(folder, &["status", "-o", "json"]).stdout).unwrap();
    let states: Vec<&str> =
        status["services"].as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["ready"; 4]);
    let again = shopctl(folder, &["up", "--port", &port]);
    assert_eq!(again.status.code(), Some(5), "it runs already");

    let ada = Caller::customer(&url, "ada").await;
    let product = ada.get("/products?take=1").await.json["items"][0]["id"].as_str().unwrap().to_owned();
    let placed = ada.order(&product, 1, "pm_sim_success").await;
    let order = placed.json["id"].as_str().unwrap();
    ada.order_becomes(order, "COMPLETED").await;
    assert_eq!(shopctl(folder, &["verify"]).status.code(), Some(0));

    assert_eq!(shopctl(folder, &["down"]).status.code(), Some(0));
    assert_eq!(shopctl(folder, &["status"]).status.code(), Some(3));
    let gateway = r#"{url="http://127.0.0.1:9"}"#;
    up(&[("ROCKET_GATEWAY", gateway)]);
    let verified = shopctl(folder, &["verify"]);
    let said = String::from_utf8(verified.stderr).unwrap();
    assert!(said.contains("the gateway keeps its own ledger"), "another terminal knows the gateway: {said}");
    let environment = String::from_utf8(shopctl(folder, &["status", "-o", "env"]).stdout).unwrap();
    assert!(environment.contains(&format!("ROCKET_GATEWAY='{gateway}'")), "{environment}");
    let ada = Caller::login(&url, "ada@example.com", PASSWORD).await;
    let kept = ada.get(&format!("/orders/{order}")).await;
    assert_eq!((kept.status, &kept.json["status"]), (200, &Value::from("COMPLETED")));
}

#[test]
fn services_run_for_one_command_and_are_gone_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = shopctl(
        folder.path(),
        &["services", "run", "--yes", "--", "sh", "-c", "echo \"$DATABASE_URL $REDIS_URL\"; exit 7"],
    );

    assert_eq!(output.status.code(), Some(7));
    let urls = String::from_utf8(output.stdout).unwrap();
    let (postgres, redis) = urls.trim().split_once(' ').unwrap();
    assert!(postgres.starts_with("postgres") && redis.starts_with("redis"), "{urls}");
    for url in [postgres, redis] {
        let address = url.rsplit_once('@').unwrap().1.split('/').next().unwrap().to_owned();
        assert!(std::net::TcpStream::connect(&address).is_err(), "{address} still listens");
    }
}
