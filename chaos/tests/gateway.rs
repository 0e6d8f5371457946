//! The gateway in a process of its own, as the worker's client of it sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::Arc;

use rocket::fairing::AdHoc;
use serde_json::{Value, json};
use shop_chaos::gateway;
use shop_chaos::gateway::books::Stats;
use shop_common::id::PaymentId;
use shop_common::money::{Currency, Money};
use shop_common::payments::{ChargeKey, PaymentMethod};
use shop_worker::payments::gateway::{
    Charge, ChargeOutcome, Lookup, PaymentGateway, RefundOutcome, Unreachable, VoidOutcome,
};
use shop_worker::payments::remote::RemoteGateway;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A gateway that runs, with its ledger in a folder of its own.
struct Running {
    url: String,
    client: RemoteGateway,
    stop: rocket::Shutdown,
    server: JoinHandle<()>,
    folder: TempDir,
}

impl Running {
    async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(folder: TempDir) -> Self {
        let listens = Arc::new(Notify::new());
        let (told, port) = (Arc::clone(&listens), Arc::new(std::sync::atomic::AtomicU16::new(0)));
        let seen = Arc::clone(&port);
        let server = gateway::server(&ledger(&folder), 0).unwrap().attach(AdHoc::on_liftoff("Port", move |rocket| {
            seen.store(rocket.config().port, std::sync::atomic::Ordering::SeqCst);
            told.notify_one();
            Box::pin(async {})
        }));
        let server = server.ignite().await.unwrap();
        let stop = server.shutdown();
        let server = tokio::spawn(async move { drop(server.launch().await.unwrap()) });
        listens.notified().await;
        let url = format!("http://127.0.0.1:{}", port.load(std::sync::atomic::Ordering::SeqCst));
        Self { client: RemoteGateway::new(&url).unwrap(), url, stop, server, folder }
    }

    /// Ends the process of it, as far as a test can, and starts the next on the same ledger.
    async fn restart(self) -> Self {
        let folder = self.stop().await;
        Self::start_in(folder).await
    }

    async fn stop(self) -> TempDir {
        self.stop.notify();
        self.server.await.unwrap();
        self.folder
    }

    async fn faults(&self, faults: Value) {
        let answer = reqwest::Client::new().post(format!("{}/faults", self.url)).json(&faults).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    async fn stats(&self) -> Stats {
        reqwest::get(format!("{}/stats", self.url)).await.unwrap().json().await.unwrap()
    }
}

fn ledger(folder: &TempDir) -> PathBuf {
    folder.path().join("ledger.jsonl")
}

fn charge(method: &str) -> Charge {
    let payment = PaymentId::new();
    Charge {
        key: ChargeKey::new(payment, 1),
        payment,
        amount: Money::from_minor(1999).unwrap(),
        currency: Currency::try_from("USD".to_owned()).unwrap(),
        method: PaymentMethod::try_from(method.to_owned()).unwrap(),
    }
}

fn approved(charge: &Charge) -> ChargeOutcome {
    ChargeOutcome::Approved { reference: format!("sim_{}", charge.key.as_str()) }
}

fn unknown(code: &str) -> ChargeOutcome {
    ChargeOutcome::Unknown { code: code.to_owned() }
}

#[tokio::test]
async fn a_key_is_charged_once_however_often_it_is_sent() {
    let gateway = Running::start().await;
    let charge = charge("pm_sim_success");

    assert_eq!(gateway.client.lookup(&charge.key).await, Lookup::NotFound);
    for _ in 0..3 {
        assert_eq!(gateway.client.charge(&charge).await, approved(&charge));
    }

    assert_eq!(gateway.client.lookup(&charge.key).await, Lookup::Found(approved(&charge)));
    assert_eq!(gateway.stats().await, Stats { charges: 1, captured: 1, ..Stats::default() });
}

#[tokio::test]
async fn the_method_says_how_a_charge_ends() {
    let gateway = Running::start().await;
    let declined = |code: &str, retryable| ChargeOutcome::Declined { code: code.to_owned(), retryable };
    let for_good = charge("pm_sim_decline_card_declined");
    assert_eq!(gateway.client.charge(&for_good).await, declined("card_declined", false));
    let for_now = charge("pm_sim_decline_1_then_success");
    assert_eq!(gateway.client.charge(&for_now).await, declined("try_again_later", true));
    assert_eq!(gateway.client.lookup(&for_now.key).await, Lookup::Found(declined("try_again_later", true)));
    let flaky = charge("pm_sim_flaky_1");
    assert!(matches!(gateway.client.charge(&flaky).await, ChargeOutcome::Transient { .. }));
    assert_eq!(gateway.client.lookup(&flaky.key).await, Lookup::NotFound);
    assert_eq!(gateway.client.charge(&flaky).await, approved(&flaky));
}

#[tokio::test]
async fn a_void_is_a_tombstone_unless_the_money_is_here() {
    let gateway = Running::start().await;
    let (late, early) = (charge("pm_sim_success"), charge("pm_sim_success"));

    assert_eq!(gateway.client.void(&late.key).await, VoidOutcome::Voided);
    let refused = ChargeOutcome::Declined { code: "voided".to_owned(), retryable: false };
    assert_eq!(gateway.client.charge(&late).await, refused);
    assert_eq!(gateway.client.lookup(&late.key).await, Lookup::Found(refused));
    gateway.client.charge(&early).await;
    let reference = format!("sim_{}", early.key.as_str());
    assert_eq!(gateway.client.void(&early.key).await, VoidOutcome::AlreadyCaptured { reference });
    assert_eq!(gateway.stats().await, Stats { charges: 2, captured: 1, voided: 1, ..Stats::default() });
}

#[tokio::test]
async fn what_is_given_back_is_given_back_once_and_only_if_it_came() {
    let gateway = Running::start().await;
    let charge = charge("pm_sim_success");

    assert_eq!(gateway.client.refund(&charge.key).await, RefundOutcome::NothingCaptured);
    gateway.client.charge(&charge).await;
    for _ in 0..2 {
        assert_eq!(gateway.client.refund(&charge.key).await, RefundOutcome::Refunded);
    }
    let refunded = ChargeOutcome::Declined { code: "refunded".to_owned(), retryable: false };
    assert_eq!(gateway.client.charge(&charge).await, refunded);
    assert_eq!(gateway.client.lookup(&charge.key).await, Lookup::Found(refunded));
    assert_eq!(gateway.client.void(&charge.key).await, VoidOutcome::Voided);
    assert_eq!(gateway.stats().await, Stats { charges: 1, refunded: 1, ..Stats::default() });
}

#[tokio::test]
async fn what_was_captured_is_listed_by_key_page_by_page() {
    let gateway = Running::start().await;
    let charges: Vec<Charge> = (0..3).map(|_| charge("pm_sim_success")).collect();
    for charge in charges.iter().rev() {
        gateway.client.charge(charge).await;
    }
    gateway.client.refund(&charges[1].key).await;
    gateway.client.charge(&charge("pm_sim_decline_x")).await;
    gateway.client.void(&charge("test").key).await;

    let first = gateway.client.captured(None, 2).await.unwrap();
    let rest = gateway.client.captured(Some(&first[1].key), 2).await.unwrap();

    let listed: Vec<_> = first.iter().chain(&rest).map(|charge| (charge.key.clone(), charge.refunded)).collect();
    let expected: Vec<_> =
        charges.iter().zip([false, true, false]).map(|(charge, back)| (charge.key.clone(), back)).collect();
    assert_eq!(listed, expected);
    assert_eq!((first[0].payment.clone(), first[0].amount), (charges[0].payment.to_string(), charges[0].amount));
    assert_eq!(gateway.client.captured(Some(&charges[2].key), 2).await.unwrap(), []);
    gateway.faults(json!({ "down": true })).await;
    assert_eq!(gateway.client.captured(None, 2).await, Err(Unreachable));
}

#[tokio::test]
async fn the_ledger_survives_its_process_and_a_torn_line_was_never_answered() {
    let gateway = Running::start().await;
    let (captured, voided) = (charge("pm_sim_success"), charge("pm_sim_success"));
    gateway.client.charge(&captured).await;
    gateway.client.void(&voided.key).await;
    let before = gateway.stats().await;
    let folder = gateway.stop().await;
    let mut text = std::fs::read_to_string(ledger(&folder)).unwrap();
    text.push_str(r#"{"key":"torn","pay"#);
    std::fs::write(ledger(&folder), text).unwrap();

    let gateway = Running::start_in(folder).await;

    assert_eq!(gateway.stats().await, before);
    assert_eq!(gateway.client.charge(&captured).await, approved(&captured));
    assert!(matches!(gateway.client.charge(&voided).await, ChargeOutcome::Declined { .. }));
    let third = charge("pm_sim_success");
    gateway.client.charge(&third).await;
    let gateway = gateway.restart().await;
    assert_eq!(gateway.client.lookup(&third.key).await, Lookup::Found(approved(&third)));
}

#[tokio::test]
async fn a_ledger_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(ledger(&folder), "not a ledger\n").unwrap();

    let error = gateway::server(&ledger(&folder), 0).err().unwrap().to_string();

    assert!(error.contains("line 1"), "{error}");
}

#[tokio::test]
async fn a_charge_whose_client_hangs_up_before_the_answer_is_found_by_its_key() {
    let gateway = Running::start().await;
    gateway.faults(json!({ "timeoutAfterCharge": 1 })).await;
    let charge = charge("pm_sim_success");
    let (client, sent) = (gateway.client.clone(), charge.clone());
    let waiting = tokio::spawn(async move { client.charge(&sent).await });

    while gateway.stats().await.captured == 0 {
        tokio::task::yield_now().await;
    }
    waiting.abort();

    assert_eq!(gateway.client.lookup(&charge.key).await, Lookup::Found(approved(&charge)));
    assert_eq!(gateway.stats().await, Stats { charges: 1, captured: 1, ambiguous: 1, ..Stats::default() });
}

#[tokio::test]
async fn answers_that_go_wrong_say_nothing_of_the_money() {
    let gateway = Running::start().await;
    for (faults, captured, outcome) in [
        (json!({ "errorAfterCharge": 1 }), 1, unknown("gateway_error")),
        (json!({ "failedAfterCharge": 1 }), 2, ChargeOutcome::Transient { code: "failed_after_charge".to_owned() }),
        (json!({ "refuse": 1 }), 2, ChargeOutcome::Transient { code: "refused".to_owned() }),
        (json!({ "down": true }), 2, unknown("gateway_error")),
    ] {
        gateway.faults(faults.clone()).await;
        assert_eq!(gateway.client.charge(&charge("pm_sim_success")).await, outcome, "{faults}");
        assert_eq!(gateway.stats().await.captured, captured, "{faults}");
    }
    assert_eq!(gateway.stats().await.ambiguous, 2);
    assert_eq!(gateway.client.lookup(&charge("test").key).await, Lookup::Unknown, "it is down");
    assert_eq!(gateway.client.void(&charge("test").key).await, VoidOutcome::Unknown, "it is down");
}

#[tokio::test]
async fn nobody_there_is_no_answer() {
    let gateway = Running::start().await;
    let client = gateway.client.clone();
    gateway.stop().await;

    assert_eq!(client.charge(&charge("pm_sim_success")).await, unknown("gateway_unreachable"));
    assert_eq!(client.refund(&charge("test").key).await, RefundOutcome::Unknown);
}

#[test]
fn only_an_http_url_can_be_a_gateways() {
    for bad in ["", "127.0.0.1:4000", "https://gateway.example", "mailto:somebody"] {
        assert!(RemoteGateway::new(bad).is_err(), "{bad:?}");
    }
    assert!(RemoteGateway::new("http://127.0.0.1:4000/v1/").is_ok());
}
