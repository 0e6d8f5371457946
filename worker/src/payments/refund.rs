//! One attempt at a refund, from the claim to an outcome; no database is touched here.

use shop_common::chaos;
use shop_common::orders::claim::Claim;
use shop_common::orders::refund::settle::Outcome;
use tokio::time::timeout;

use super::gateway::{PaymentGateway, RefundOutcome};
use super::handler::Limits;

/// Gives a captured charge back, by the key that it was captured under: however often that is
/// asked, and whoever died meanwhile, the gateway gives it back once.
///
/// There is no look-up after an answer that says nothing, and no end to the tries: asking again is as good, and the
/// money is owed.
pub async fn attempt(gateway: &dyn PaymentGateway, claim: &Claim, limits: Limits) -> Outcome {
    if let Some(reason) = reason_to_bury(claim, limits) {
        return Outcome::Impossible { reason };
    }
    chaos::step("refund.before");
    let answer = timeout(limits.gateway_timeout, gateway.refund(&claim.key)).await;
    chaos::step("refund.after");
    match answer {
        Ok(RefundOutcome::Refunded) => Outcome::Refunded,
        Ok(RefundOutcome::NothingCaptured) => Outcome::Impossible {
            reason: format!("nothing_captured: the gateway has no captured charge {}", claim.key.as_str()),
        },
        Ok(RefundOutcome::Unknown) => Outcome::Unknown { code: "gateway_gave_no_answer".to_owned() },
        Err(_) => Outcome::Unknown { code: "gateway_timeout".to_owned() },
    }
}

/// Why the gateway is not even asked.
fn reason_to_bury(claim: &Claim, limits: Limits) -> Option<String> {
    match claim.job.parse() {
        Err(error) => return Some(format!("poison: {error}")),
        Ok(payment) if payment != claim.payment => {
            return Some(format!("poison: payment {payment} is not the one of its order"));
        }
        Ok(_) => {}
    }
    let crashes = claim.job.crashes();
    (crashes >= limits.max_crashes).then(|| format!("poison: its worker or handler died {crashes} times"))
}
