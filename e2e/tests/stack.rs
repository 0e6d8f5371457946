//! `shopctl up`, `status` and `down`: a whole shop with servers of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

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

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
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
    let examined = shopctl(folder, &["doctor", "-o", "json"]);
    assert_eq!(examined.status.code(), Some(0), "{}", stdout(&examined));
    let checks: Value = serde_json::from_slice(&examined.stdout).unwrap();
    let healthy = |name: &str| checks.as_array().unwrap().iter().any(|it| it["name"] == name && it["verdict"] == "ok");
    for name in ["durability", "redis persistence", "jwt secret", "schedule", "connections", "api-1", "worker-1"] {
        assert!(healthy(name), "{name} in {checks:#}");
    }
    let settings = stdout(&shopctl(folder, &["config", "show"]));
    assert!(settings.contains("the stack that runs here") && settings.contains("***"), "{settings}");
    let following = Command::new(program("shopctl"))
        .args(["logs", "worker", "--follow", "--lines", "1", "-o", "jsonl"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();

    assert_eq!(shopctl(folder, &["down"]).status.code(), Some(0));
    assert_eq!(shopctl(folder, &["status"]).status.code(), Some(3));
    let followed = following.wait_with_output().unwrap();
    assert_eq!(followed.status.code(), Some(0), "it ends with the shop");
    let lines: Vec<Value> = stdout(&followed).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line["service"] == "worker-1"), "{lines:?}");
    let log = stdout(&shopctl(folder, &["logs", "shop", "--lines", "1"]));
    assert_eq!(log, "shop     │ stopping\n", "the log can be read when the shop has stopped");
    assert_eq!(stdout(&shopctl(folder, &["logs", "api", "--level", "error"])), "");
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
fn the_password_of_the_first_admin_of_a_production_shop_is_in_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let _down = Down(folder);
    let production = [("ROCKET_PROFILE", "production")];

    let up = shopctl_with(folder, &["up", "--detach", "--yes", "--empty", "--port", &free_port()], &production);

    let said = String::from_utf8(up.stderr.clone()).unwrap();
    assert_eq!(up.status.code(), Some(0), "{said}");
    let file = folder.join(".shop/admin-password");
    assert!(said.contains(&file.canonicalize().unwrap().display().to_string()), "{said}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let password = std::fs::read_to_string(&file).unwrap();
    let log = std::fs::read_to_string(folder.join(".shop/shop.log")).unwrap();
    assert!(password.trim().len() >= 20 && !log.contains(password.trim()) && !said.contains(password.trim()));
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
