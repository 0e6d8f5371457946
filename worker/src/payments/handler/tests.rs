//! Whole lives of a payment: the worker's attempts and the settlement's decisions, against a gateway that does anything.

use std::sync::Mutex;

use async_trait::async_trait;
use proptest::prelude::*;
use shop_common::id::{BootId, JobId, OrderId, PaymentId, UserId};
use shop_common::jobs::ledger::TakenJob;
use shop_common::jobs::queue::Lease;
use shop_common::jobs::retry::Backoff;
use shop_common::jobs::{ChargePayment, Token};
use shop_common::money::Money;
use shop_common::payments::next::{self, History, Next, Policy};
use shop_common::payments::{ChargeKey, PaymentMethod};
use shop_common::trace::Kept;

use super::super::gateway::{CapturedCharge, RefundOutcome, Unreachable};
use super::*;

const MAX_ATTEMPTS: i32 = 3;

/// What the gateway does with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Capture,
    CaptureInSilence,
    Refuse,
    Decline,
    Fail,
    Silence,
}

/// A gateway that is idempotent by key, and else follows a script. When that is over, it declines.
#[derive(Default)]
struct Scripted(Mutex<Books>);

#[derive(Default)]
struct Books {
    script: Vec<Act>,
    ledger: Vec<(ChargeKey, ChargeOutcome)>,
}

impl Books {
    fn act(&mut self) -> Act {
        self.script.pop().unwrap_or(Act::Decline)
    }

    fn known(&self, key: &ChargeKey) -> Option<ChargeOutcome> {
        self.ledger.iter().find(|(known, _)| known == key).map(|(_, outcome)| outcome.clone())
    }

    fn captures(&self) -> usize {
        self.ledger.iter().filter(|(_, outcome)| matches!(outcome, ChargeOutcome::Approved { .. })).count()
    }
}

#[async_trait]
impl PaymentGateway for Scripted {
    async fn charge(&self, charge: &Charge) -> ChargeOutcome {
        let mut books = self.0.lock().unwrap();
        let act = books.act();
        let silent = ChargeOutcome::Unknown { code: "timeout".to_owned() };
        let known = books.known(&charge.key).or_else(|| {
            let outcome = match act {
                Act::Capture | Act::CaptureInSilence => ChargeOutcome::Approved { reference: "ch".to_owned() },
                Act::Refuse => ChargeOutcome::Declined { code: "no".to_owned(), retryable: false },
                Act::Decline => ChargeOutcome::Declined { code: "later".to_owned(), retryable: true },
                Act::Fail | Act::Silence => return None,
            };
            books.ledger.push((charge.key.clone(), outcome.clone()));
            Some(outcome)
        });
        if matches!(act, Act::Silence | Act::CaptureInSilence) {
            return silent;
        }
        known.unwrap_or(ChargeOutcome::Transient { code: "error".to_owned() })
    }

    async fn lookup(&self, key: &ChargeKey) -> Lookup {
        let mut books = self.0.lock().unwrap();
        match books.act() {
            Act::Silence => Lookup::Unknown,
            _ => books.known(key).map_or(Lookup::NotFound, Lookup::Found),
        }
    }

    async fn void(&self, key: &ChargeKey) -> VoidOutcome {
        let mut books = self.0.lock().unwrap();
        let act = books.act();
        if let Some(ChargeOutcome::Approved { reference }) = books.known(key) {
            return if act == Act::Silence { VoidOutcome::Unknown } else { VoidOutcome::AlreadyCaptured { reference } };
        }
        if act == Act::Silence {
            return VoidOutcome::Unknown;
        }
        books.ledger.retain(|(known, _)| known != key);
        let tombstone = ChargeOutcome::Declined { code: "voided".to_owned(), retryable: false };
        books.ledger.push((key.clone(), tombstone));
        if act == Act::CaptureInSilence { VoidOutcome::Unknown } else { VoidOutcome::Voided }
    }

    async fn refund(&self, _: &ChargeKey) -> RefundOutcome {
        RefundOutcome::Unknown
    }

    async fn captured(&self, _: Option<&ChargeKey>, _: u32) -> Result<Vec<CapturedCharge>, Unreachable> {
        Err(Unreachable)
    }
}

fn claim(payment: PaymentId, charge_no: i32, attempts: i32, retries: i32) -> Claim {
    let (id, token) = (JobId::new(), Token::new(BootId::new(), 1));
    let job = TakenJob {
        id,
        token: token.clone(),
        kind: ChargePayment::KIND.to_owned(),
        version: ChargePayment::VERSION,
        payload: ChargePayment { payment_id: payment }.payload(),
        order_id: OrderId::new(),
        attempts,
        claims: retries + 1,
        retries,
        age_seconds: 1.0,
        lateness_seconds: 0.0,
        taken_over: false,
        give_up: None,
        request_id: None,
        trace: Kept::default(),
    };
    Claim {
        lease: Lease { job: id, token },
        job,
        customer: UserId::new(),
        payment,
        key: ChargeKey::new(payment, charge_no),
        amount: Money::from_minor(250).unwrap(),
        currency: "USD".to_owned().try_into().unwrap(),
        method: PaymentMethod::default(),
    }
}

proptest! {
    #[test]
    fn a_payment_ends_within_its_attempts_is_charged_once_at_most_and_its_end_is_what_the_gateway_says(
        script in prop::collection::vec(prop::sample::select(vec![
            Act::Capture, Act::CaptureInSilence, Act::Refuse, Act::Decline, Act::Fail, Act::Silence, Act::Silence,
        ]), 0..30),
    ) {
        let length = script.len();
        let gateway = Scripted(Mutex::new(Books { script, ..Books::default() }));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let limits = Limits {
            max_attempts: MAX_ATTEMPTS,
            max_crashes: 20,
            give_up_after: Duration::from_secs(3600),
            gateway_timeout: Duration::from_secs(60),
        };
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(1) };
        let policy = Policy { backoff, max_attempts: MAX_ATTEMPTS };
        let payment = PaymentId::new();
        let (mut charge_no, mut attempts, mut retries, mut claims) = (1, 0, 0, 0);

        let completed = loop {
            claims += 1;
            prop_assert!(claims <= length + 5, "a payment without end");
            let claim = claim(payment, charge_no, attempts, retries);
            let outcome = runtime.block_on(attempt(&gateway, &claim, limits));
            let next = next::decide(&outcome, History { attempts, retries }, policy, 0.5);
            attempts += i32::from(next::spends_attempt(&outcome));
            match next {
                Next::Complete { .. } => break true,
                Next::Fail => break false,
                Next::Retry { new_charge, .. } => {
                    let declined = matches!(outcome, Outcome::Declined { retryable: true, .. });
                    prop_assert!(declined || !new_charge);
                    charge_no += i32::from(new_charge);
                    retries += 1;
                }
            }
        };

        let books = gateway.0.into_inner().unwrap();
        prop_assert_eq!(books.captures(), usize::from(completed));
        prop_assert!(attempts <= MAX_ATTEMPTS && charge_no <= MAX_ATTEMPTS);
        // A key that is not closed could still be charged.
        let last = books.known(&ChargeKey::new(payment, charge_no));
        let closed = matches!(last, Some(ChargeOutcome::Declined { .. }));
        prop_assert!(closed || completed);
    }
}
