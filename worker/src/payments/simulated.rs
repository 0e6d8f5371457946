//! A payment gateway that moves no money, with books of its own.
//!
//! It behaves as the payment method says (`pm_sim_…`, see [`Behaviour`]), always the
//! same way for the same seed. Its ledger is durable and apart from the shop's
//! tables, as another company's would be, so that double charges can be counted.
//! A charge goes on when nobody waits for its answer any more.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use async_trait::async_trait;
use shop_common::config;
use shop_common::money::Money;
use shop_common::payments::ChargeKey;
use sqlx::PgPool;

use super::gateway::{
    CapturedCharge, Charge, ChargeOutcome, Lookup, PaymentGateway, RefundOutcome, Unreachable, VoidOutcome,
};

/// The code of a retryable decline.
const TRY_AGAIN: &str = "try_again_later";

/// The simulated gateway.
#[derive(Clone)]
pub struct SimulatedGateway {
    ledger: PgPool,
    settings: config::Gateway,
}

/// How the gateway behaves, as the payment method says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// `pm_sim_success`: approved.
    Success,
    /// `pm_sim_decline_<code>`: declined for good, with that code.
    Decline(String),
    /// `pm_sim_decline_<n>_then_success`: n declines that may be retried, then approved.
    DeclineThenSuccess(u32),
    /// `pm_sim_flaky_<n>`: n transient failures, then approved.
    Flaky(u32),
    /// `pm_sim_timeout_charged`: charged, but the answer never comes.
    TimeoutCharged,
    /// `pm_sim_timeout_not_charged`: not charged, and the first answer never comes; then approved.
    TimeoutNotCharged,
    /// `pm_sim_slow_<ms>`: approved after so many milliseconds.
    Slow(u64),
    /// `test`: latency and share of approvals as the settings say; declines may be retried.
    Test,
    /// Anything else: declined for good.
    Unsupported,
}

impl Behaviour {
    /// Reads a payment method.
    pub fn of(method: &str) -> Self {
        if method == "test" {
            return Self::Test;
        }
        let Some(name) = method.strip_prefix("pm_sim_") else { return Self::Unsupported };
        let number = |prefix| name.strip_prefix(prefix).and_then(|number: &str| number.parse::<u64>().ok());
        let small = |prefix| number(prefix).and_then(|n| u32::try_from(n).ok());
        match name {
            "success" => return Self::Success,
            "timeout_charged" => return Self::TimeoutCharged,
            "timeout_not_charged" => return Self::TimeoutNotCharged,
            _ => {}
        }
        if let Some(n) = small("flaky_") {
            return Self::Flaky(n);
        }
        if let Some(ms) = number("slow_") {
            return Self::Slow(ms);
        }
        let Some(decline) = name.strip_prefix("decline_").filter(|code| !code.is_empty()) else {
            return Self::Unsupported;
        };
        match decline.strip_suffix("_then_success").and_then(|n| n.parse().ok()) {
            Some(n) => Self::DeclineThenSuccess(n),
            None => Self::Decline(decline.to_owned()),
        }
    }
}

/// What the gateway does with a charge that has not come to an end yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Captures.
    Capture,
    /// Captures, and keeps the answer to itself.
    CaptureInSilence,
    /// Refuses.
    Decline {
        /// Why.
        code: String,
        /// Whether a new charge, under a new key, may go better.
        retryable: bool,
    },
    /// Does nothing, and says so.
    Fail,
    /// Does nothing, and does not say so.
    Silence,
}

/// Decides from the method, the number in the key and how often the key was sent.
pub fn act(charge: &Charge, calls: i32, settings: &config::Gateway) -> Act {
    let calls = u32::try_from(calls).unwrap_or(0);
    let charge_no = charge.key.charge_no().and_then(|number| u32::try_from(number).ok()).unwrap_or(1);
    match Behaviour::of(charge.method.as_str()) {
        Behaviour::Success | Behaviour::Slow(_) => Act::Capture,
        Behaviour::Decline(code) => Act::Decline { code, retryable: false },
        Behaviour::DeclineThenSuccess(n) if charge_no <= n => {
            Act::Decline { code: TRY_AGAIN.to_owned(), retryable: true }
        }
        Behaviour::Flaky(n) if calls <= n => Act::Fail,
        Behaviour::DeclineThenSuccess(_) | Behaviour::Flaky(_) => Act::Capture,
        Behaviour::TimeoutCharged => Act::CaptureInSilence,
        Behaviour::TimeoutNotCharged if calls == 1 => Act::Silence,
        Behaviour::TimeoutNotCharged => Act::Capture,
        Behaviour::Test if draw(settings.seed, charge.key.as_str()) < settings.success_rate => Act::Capture,
        Behaviour::Test => Act::Decline { code: TRY_AGAIN.to_owned(), retryable: true },
        Behaviour::Unsupported => Act::Decline { code: "unsupported_payment_method".to_owned(), retryable: false },
    }
}

/// How long the gateway takes for a charge.
pub fn latency(charge: &Charge, settings: &config::Gateway) -> Duration {
    match Behaviour::of(charge.method.as_str()) {
        Behaviour::Test => Duration::from_millis(settings.latency_ms),
        Behaviour::Slow(ms) => Duration::from_millis(ms),
        _ => Duration::ZERO,
    }
}

/// A number from 0 to 1 that depends on the seed and the key only.
pub fn draw(seed: u64, key: &str) -> f64 {
    let mut hasher = DefaultHasher::new();
    (seed, key).hash(&mut hasher);
    #[allow(clippy::cast_precision_loss, reason = "53 bits are precise enough to draw lots")]
    let share = (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64;
    share
}

#[derive(sqlx::FromRow)]
struct Entry {
    state: String,
    code: Option<String>,
    calls: i32,
}

impl Entry {
    /// What the books say about a key, if its charge has come to an end.
    fn outcome(&self, key: &str) -> Option<ChargeOutcome> {
        let declined = |code: &str| ChargeOutcome::Declined { code: code.to_owned(), retryable: is_retryable(code) };
        match self.state.as_str() {
            "captured" => Some(ChargeOutcome::Approved { reference: reference(key) }),
            "declined" => Some(declined(self.code.as_deref().unwrap_or("declined"))),
            dead @ ("voided" | "refunded") => Some(declined(dead)),
            _ => None,
        }
    }
}

/// Whether a charge that was declined with this code may go better under a new key.
pub fn is_retryable(code: &str) -> bool {
    code == TRY_AGAIN
}

/// What the gateway calls the charge of a key.
pub fn reference(key: &str) -> String {
    format!("sim_{key}")
}

impl SimulatedGateway {
    /// A gateway whose books are in the schema `simulated_gateway` of that database.
    pub fn new(ledger: PgPool, settings: config::Gateway) -> Self {
        Self { ledger, settings }
    }

    async fn book(&self, charge: &Charge) -> Result<ChargeOutcome, sqlx::Error> {
        let key = charge.key.as_str();
        let mut transaction = self.ledger.begin().await?;
        let entry: Entry = sqlx::query_as(
            "INSERT INTO simulated_gateway.charges AS c (key, payment, amount_minor, currency, method, calls, state)
             VALUES ($1, $2, $3, $4, $5, 1, 'open')
             ON CONFLICT (key) DO UPDATE SET calls = c.calls + 1, updated_at = now()
             RETURNING state, code, calls",
        )
        .bind(key)
        .bind(charge.payment.to_string())
        .bind(charge.amount)
        .bind(&charge.currency)
        .bind(&charge.method)
        .fetch_one(&mut *transaction)
        .await?;
        let (state, code, answer) = match entry.outcome(key) {
            Some(known) => (entry.state, entry.code, known),
            None => match act(charge, entry.calls, &self.settings) {
                Act::Capture => ("captured".to_owned(), None, ChargeOutcome::Approved { reference: reference(key) }),
                Act::CaptureInSilence => {
                    ("captured".to_owned(), None, ChargeOutcome::Unknown { code: "gateway_timeout".to_owned() })
                }
                Act::Decline { code, retryable } => {
                    ("declined".to_owned(), Some(code.clone()), ChargeOutcome::Declined { code, retryable })
                }
                Act::Fail => ("open".to_owned(), None, ChargeOutcome::Transient { code: "gateway_error".to_owned() }),
                Act::Silence => {
                    ("open".to_owned(), None, ChargeOutcome::Unknown { code: "gateway_timeout".to_owned() })
                }
            },
        };
        sqlx::query("UPDATE simulated_gateway.charges SET state = $2, code = $3 WHERE key = $1")
            .bind(key)
            .bind(state)
            .bind(code)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(answer)
    }
}

#[async_trait]
impl PaymentGateway for SimulatedGateway {
    async fn charge(&self, charge: &Charge) -> ChargeOutcome {
        let (gateway, charge) = (self.clone(), charge.clone());
        // A task of its own: a caller that stops waiting does not stop the charge.
        let charging = tokio::spawn(async move {
            tokio::time::sleep(latency(&charge, &gateway.settings)).await;
            gateway.book(&charge).await
        });
        match charging.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => ChargeOutcome::Unknown { code: "gateway_unreachable".to_owned() },
        }
    }

    async fn lookup(&self, key: &ChargeKey) -> Lookup {
        let entry: Result<Option<Entry>, _> =
            sqlx::query_as("SELECT state, code, calls FROM simulated_gateway.charges WHERE key = $1")
                .bind(key.as_str())
                .fetch_optional(&self.ledger)
                .await;
        match entry {
            Ok(entry) => entry.and_then(|entry| entry.outcome(key.as_str())).map_or(Lookup::NotFound, Lookup::Found),
            Err(_) => Lookup::Unknown,
        }
    }

    async fn void(&self, key: &ChargeKey) -> VoidOutcome {
        // A key that was never seen gets a tombstone too: its charge may still be on the way.
        let state: Result<String, _> = sqlx::query_scalar(
            "INSERT INTO simulated_gateway.charges AS c (key, payment, amount_minor, currency, method, state)
             VALUES ($1, split_part($1, ':', 1), 0, '', '', 'voided')
             ON CONFLICT (key) DO UPDATE
             SET state = CASE WHEN c.state IN ('captured', 'refunded') THEN c.state ELSE 'voided' END, updated_at = now()
             RETURNING state",
        )
        .bind(key.as_str())
        .fetch_one(&self.ledger)
        .await;
        match state.as_deref() {
            Ok("voided" | "refunded") => VoidOutcome::Voided,
            Ok(_) => VoidOutcome::AlreadyCaptured { reference: reference(key.as_str()) },
            Err(_) => VoidOutcome::Unknown,
        }
    }

    async fn refund(&self, key: &ChargeKey) -> RefundOutcome {
        let refunded = sqlx::query(
            "UPDATE simulated_gateway.charges SET state = 'refunded', updated_at = now()
             WHERE key = $1 AND state IN ('captured', 'refunded')",
        )
        .bind(key.as_str())
        .execute(&self.ledger)
        .await;
        match refunded {
            Ok(done) if done.rows_affected() == 1 => RefundOutcome::Refunded,
            Ok(_) => RefundOutcome::NothingCaptured,
            Err(_) => RefundOutcome::Unknown,
        }
    }

    async fn captured(&self, after: Option<&ChargeKey>, limit: u32) -> Result<Vec<CapturedCharge>, Unreachable> {
        let page: Vec<(ChargeKey, String, Money, bool)> = sqlx::query_as(
            "SELECT key, payment, amount_minor, state = 'refunded' FROM simulated_gateway.charges
             WHERE state IN ('captured', 'refunded') AND key > $1 ORDER BY key LIMIT $2",
        )
        .bind(after.map_or("", ChargeKey::as_str))
        .bind(i64::from(limit))
        .fetch_all(&self.ledger)
        .await
        .map_err(|_| Unreachable)?;
        let charge = |(key, payment, amount, refunded): (ChargeKey, _, _, _)| {
            let reference = reference(key.as_str());
            CapturedCharge { key, payment, amount, reference, refunded }
        };
        Ok(page.into_iter().map(charge).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_says_how_the_gateway_behaves() {
        for (method, behaviour) in [
            ("pm_sim_success", Behaviour::Success),
            ("pm_sim_decline_card_declined", Behaviour::Decline("card_declined".to_owned())),
            ("pm_sim_decline_2_then_success", Behaviour::DeclineThenSuccess(2)),
            ("pm_sim_flaky_3", Behaviour::Flaky(3)),
            ("pm_sim_timeout_charged", Behaviour::TimeoutCharged),
            ("pm_sim_timeout_not_charged", Behaviour::TimeoutNotCharged),
            ("pm_sim_slow_250", Behaviour::Slow(250)),
            ("test", Behaviour::Test),
            ("pm_sim_flaky_x", Behaviour::Unsupported),
            ("pm_sim_decline_", Behaviour::Unsupported),
            ("visa", Behaviour::Unsupported),
        ] {
            assert_eq!(Behaviour::of(method), behaviour, "{method}");
        }
    }

    #[test]
    fn chance_follows_the_seed() {
        let keys: Vec<String> = (0..1000).map(|n| format!("payment-{n}:1")).collect();
        let approved = |seed: u64| keys.iter().filter(|key| draw(seed, key) < 0.7).count();

        assert_eq!(approved(1), approved(1));
        assert!((600..800).contains(&approved(1)));
        assert_ne!(
            keys.iter().map(|key| draw(1, key) < 0.5).collect::<Vec<_>>(),
            keys.iter().map(|key| draw(2, key) < 0.5).collect::<Vec<_>>()
        );
    }
}
