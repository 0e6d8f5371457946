//! Any gateway, measured: how long each call takes, and what comes of it.

use std::sync::Arc;

use async_trait::async_trait;
use shop_common::metrics::pending::Pending;
use shop_common::payments::ChargeKey;

use super::gateway::{
    CapturedCharge, Charge, ChargeOutcome, Lookup, PaymentGateway, RefundOutcome, Unreachable, VoidOutcome,
};

/// A gateway whose calls are counted.
pub struct MeasuredGateway(Arc<dyn PaymentGateway>);

impl MeasuredGateway {
    /// That gateway, measured.
    pub fn new(gateway: Arc<dyn PaymentGateway>) -> Self {
        Self(gateway)
    }
}

/// Waits for the answer to a call and counts it; also when nobody waits for it any longer.
async fn measured<T>(operation: &'static str, call: impl Future<Output = T>, name: fn(&T) -> &'static str) -> T {
    let pending = Pending::new(move |outcome, elapsed| {
        metrics::counter!("shop_gateway_requests_total", "operation" => operation, "outcome" => outcome).increment(1);
        metrics::histogram!("shop_gateway_request_duration_seconds", "operation" => operation).record(elapsed);
    });
    let answer = call.await;
    pending.end(name(&answer));
    answer
}

#[async_trait]
impl PaymentGateway for MeasuredGateway {
    async fn charge(&self, charge: &Charge) -> ChargeOutcome {
        measured("charge", self.0.charge(charge), |outcome| match outcome {
            ChargeOutcome::Approved { .. } => "approved",
            ChargeOutcome::Declined { .. } => "declined",
            ChargeOutcome::Transient { .. } => "transient",
            ChargeOutcome::Unknown { .. } => "unknown",
        })
        .await
    }

    async fn lookup(&self, key: &ChargeKey) -> Lookup {
        measured("lookup", self.0.lookup(key), |lookup| match lookup {
            Lookup::Found(_) => "found",
            Lookup::NotFound => "not_found",
            Lookup::Unknown => "unknown",
        })
        .await
    }

    async fn void(&self, key: &ChargeKey) -> VoidOutcome {
        measured("void", self.0.void(key), |outcome| match outcome {
            VoidOutcome::Voided => "voided",
            VoidOutcome::AlreadyCaptured { .. } => "already_captured",
            VoidOutcome::Unknown => "unknown",
        })
        .await
    }

    async fn refund(&self, key: &ChargeKey) -> RefundOutcome {
        measured("refund", self.0.refund(key), |outcome| match outcome {
            RefundOutcome::Refunded => "refunded",
            RefundOutcome::NothingCaptured => "nothing_captured",
            RefundOutcome::Unknown => "unknown",
        })
        .await
    }

    async fn captured(&self, after: Option<&ChargeKey>, limit: u32) -> Result<Vec<CapturedCharge>, Unreachable> {
        measured("ledger", self.0.captured(after, limit), |page| if page.is_ok() { "page" } else { "unknown" }).await
    }
}
