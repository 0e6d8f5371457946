//! One attempt at a payment, from the claim to an outcome; no database is touched here.

use std::time::Duration;

use shop_common::chaos::{self, Bug};
use shop_common::orders::claim::Claim;
use shop_common::payments::{ChargeKey, Outcome};
use tokio::time::timeout;

use super::gateway::{Charge, ChargeOutcome, Lookup, PaymentGateway, VoidOutcome};

/// When to stop trying.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Answers of the gateway until a payment is given up.
    pub max_attempts: i32,
    /// Claims without an outcome until a job counts as poison.
    pub max_crashes: i32,
    /// Age at which a payment is given up.
    pub give_up_after: Duration,
    /// How long to wait for the gateway's answer.
    pub gateway_timeout: Duration,
}

/// Charges the payment, or gives it up if it is time to.
///
/// After an answer that says nothing, the charge is looked up by its key; what is not
/// found is charged again later, with the same key. Nothing is ever guessed.
pub async fn attempt(gateway: &dyn PaymentGateway, claim: &Claim, limits: Limits) -> Outcome {
    if let Some(reason) = reason_to_give_up(claim, limits) {
        return give_up(gateway, &claim.key, reason, limits).await;
    }
    let charge = Charge {
        key: claim.key.clone(),
        payment: claim.payment,
        amount: claim.amount,
        currency: claim.currency.clone(),
        method: claim.method.clone(),
    };
    chaos::step("charge.before");
    let charged = timeout(limits.gateway_timeout, gateway.charge(&charge))
        .await
        .unwrap_or_else(|_| ChargeOutcome::Unknown { code: "gateway_timeout".to_owned() });
    chaos::step("charge.after");
    match charged {
        ChargeOutcome::Unknown { code } if chaos::planted(Bug::NewKeyAfterUnknown) => Outcome::Unknown { code },
        ChargeOutcome::Unknown { code } => match timeout(limits.gateway_timeout, gateway.lookup(&claim.key)).await {
            Ok(Lookup::Found(found)) => outcome(found),
            Ok(Lookup::NotFound | Lookup::Unknown) | Err(_) => Outcome::Unknown { code },
        },
        ChargeOutcome::Transient { code } if claim.job.attempts + 1 >= limits.max_attempts => {
            // The last attempt failed without saying whether money moved.
            give_up(gateway, &claim.key, code, limits).await
        }
        charged => outcome(charged),
    }
}

fn reason_to_give_up(claim: &Claim, limits: Limits) -> Option<String> {
    let job = &claim.job;
    if let Some(reason) = &job.give_up {
        return Some(reason.clone());
    }
    if let Err(error) = job.parse() {
        return Some(format!("poison: {error}"));
    }
    if job.crashes() >= limits.max_crashes {
        return Some(format!("poison: its worker or handler died {} times", job.crashes()));
    }
    if job.attempts >= limits.max_attempts {
        return Some("attempts_spent".to_owned());
    }
    // Age alone says nothing: a job may have waited for a worker all the time.
    let tried = job.retries > 0;
    (tried && job.age_seconds > limits.give_up_after.as_secs_f64())
        .then(|| "gateway_unreachable_for_too_long".to_owned())
}

/// Ends a payment for good: it fails only if the gateway promises that its key is dead.
async fn give_up(gateway: &dyn PaymentGateway, key: &ChargeKey, reason: String, limits: Limits) -> Outcome {
    if chaos::planted(Bug::FailWithoutVoid) {
        return Outcome::Voided { code: reason };
    }
    match timeout(limits.gateway_timeout, gateway.void(key)).await {
        Ok(VoidOutcome::Voided) => Outcome::Voided { code: reason },
        Ok(VoidOutcome::AlreadyCaptured { reference }) => Outcome::Approved { reference },
        Ok(VoidOutcome::Unknown) | Err(_) => Outcome::Unknown { code: reason },
    }
}

fn outcome(charged: ChargeOutcome) -> Outcome {
    match charged {
        ChargeOutcome::Approved { reference } => Outcome::Approved { reference },
        ChargeOutcome::Declined { code, retryable } => Outcome::Declined { code, retryable },
        ChargeOutcome::Transient { code } => Outcome::Transient { code },
        ChargeOutcome::Unknown { code } => Outcome::Unknown { code },
    }
}

#[cfg(test)]
mod tests;
