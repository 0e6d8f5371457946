//! The audit: the gateway's ledger against the shop's payments.
//!
//! What the gateway has captured and the shop forgot (an older backup was restored, say)
//! is given back and reported. The ledger is read before the shop, so that a charge in
//! flight is never called forgotten, and where there is doubt nothing is given back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use shop_common::config;
use shop_common::id::{AuditId, BootId, PaymentId};
use shop_common::payments::audit::{self, Action, BookedPayment, Finding, Kind};
use shop_common::payments::{ChargeKey, PaymentStatus};
use sqlx::PgPool;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::gateway::{CapturedCharge, ChargeOutcome, Lookup, PaymentGateway, RefundOutcome, Unreachable};
use crate::runner::Runner;

/// How often to look whether an audit is to be done.
const ROUND: Duration = Duration::from_secs(1);
/// Charges and payments that are looked at together.
const PAGE: u32 = 500;

/// Does the audits of a worker, one after the other.
pub struct Auditor {
    pool: PgPool,
    gateway: Arc<dyn PaymentGateway>,
    boot: BootId,
    lease: Duration,
    patience: Duration,
    every: Option<Duration>,
}

/// Why an audit did not get to its end.
#[derive(Debug, thiserror::Error)]
enum AuditError {
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Gateway(#[from] Unreachable),
    #[error("the gateway gives the same page again")]
    SamePage,
    #[error("another worker has taken it over")]
    TakenOver,
    #[error("the worker stops")]
    Stopped,
}

/// What is to be done about a charge that the gateway has captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine,
    Refund(Kind),
    Report(Kind),
}

impl Auditor {
    /// The auditor of that worker.
    pub fn new(runner: &Runner, settings: &config::Gateway) -> Self {
        Self {
            pool: runner.pool().clone(),
            gateway: Arc::clone(runner.gateway()),
            boot: runner.boot(),
            lease: runner.lease(),
            patience: Duration::from_millis(settings.timeout_ms),
            every: Some(Duration::from_secs(settings.audit_every_seconds)).filter(|every| !every.is_zero()),
        }
    }

    /// Does what audits there are until told to stop. What is unfinished then, another worker takes up.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let (auditor, until) = (Arc::clone(&self), stop.clone());
            // A task of its own, so that a panic in an audit is not the end of audits.
            match tokio::spawn(async move { auditor.round(&until).await }).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "cannot look for audits"),
                Err(error) => tracing::error!(%error, "an audit panicked"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(ROUND.mul_f64(rand::random_range(0.8..1.2))) => {}
            }
        }
    }

    /// Asks for an audit if one is due, and does the one that is to be done, if there is one.
    ///
    /// # Errors
    /// When PostgreSQL is away.
    pub async fn round(&self, stop: &CancellationToken) -> Result<Option<AuditId>, sqlx::Error> {
        if let Some(every) = self.every {
            audit::request_if_due(&self.pool, every).await?;
        }
        let Some(id) = audit::take(&self.pool, self.boot, self.lease).await? else { return Ok(None) };
        let error = match (Walk { auditor: self, id, charges: 0, stop }).walk().await {
            Ok(charges) => {
                tracing::info!(audit = %id, charges, "the gateway's ledger is compared");
                None
            }
            // Not this worker's to end.
            Err(error @ (AuditError::TakenOver | AuditError::Stopped)) => {
                tracing::warn!(audit = %id, %error, "an audit is left");
                return Ok(None);
            }
            Err(error) => {
                tracing::error!(audit = %id, %error, "the gateway's ledger cannot be compared");
                Some(error.to_string())
            }
        };
        audit::finish(&self.pool, id, self.boot, error.as_deref()).await?;
        Ok(Some(id))
    }
}

/// One audit on its way through the ledger.
struct Walk<'a> {
    auditor: &'a Auditor,
    id: AuditId,
    /// Charges seen so far.
    charges: i64,
    stop: &'a CancellationToken,
}

impl Walk<'_> {
    async fn walk(mut self) -> Result<i64, AuditError> {
        for key in audit::refunding(self.pool()).await? {
            self.refund(&key).await?;
        }
        let mut page_after: Option<ChargeKey> = None;
        // The last payment whose charges have begun; they may go on, on the next page.
        let mut begun: Option<(PaymentId, Vec<CapturedCharge>)> = None;
        loop {
            let page = self.asked(self.auditor.gateway.captured(page_after.as_ref(), PAGE)).await??;
            let Some(last) = page.last().map(|charge| charge.key.clone()) else { break };
            if page_after.as_ref() == Some(&last) {
                return Err(AuditError::SamePage);
            }
            page_after = Some(last);
            self.charges += i64::try_from(page.len()).unwrap_or(i64::MAX);
            let after = begun.as_ref().map(|(payment, _)| *payment);
            let mut by_payment: BTreeMap<PaymentId, Vec<CapturedCharge>> = begun.take().into_iter().collect();
            for charge in page {
                match charge.key.payment().filter(|_| charge.key.charge_no().is_some()) {
                    Some(payment) => by_payment.entry(payment).or_default().push(charge),
                    None if charge.refunded => {}
                    // The shop never makes such a key, so it is not for the shop to give that money back.
                    None => self.report(&charge, Kind::Forgotten).await?,
                }
            }
            begun = by_payment.pop_last();
            self.compare(&by_payment, after, begun.as_ref().map(|(payment, _)| *payment)).await?;
            self.beat().await?;
        }
        let after = begun.as_ref().map(|(payment, _)| *payment);
        self.compare(&begun.into_iter().collect(), after, None).await?;
        self.beat().await?;
        Ok(self.charges)
    }

    /// Compares the charges of some payments with the shop; then the shop's payments between those
    /// two with the ledger, which has none of their charges on its pages.
    async fn compare(
        &self,
        by_payment: &BTreeMap<PaymentId, Vec<CapturedCharge>>,
        mut after: Option<PaymentId>,
        before: Option<PaymentId>,
    ) -> Result<(), AuditError> {
        let seen: Vec<PaymentId> = by_payment.keys().copied().collect();
        let booked: HashMap<PaymentId, BookedPayment> =
            audit::payments(self.pool(), &seen).await?.into_iter().map(|payment| (payment.id, payment)).collect();
        for (payment, charges) in by_payment {
            self.judge(booked.get(payment), charges).await?;
        }
        loop {
            let unseen = audit::completed(self.pool(), after, before, &seen, PAGE).await?;
            for payment in &unseen {
                self.is_captured(payment).await?;
            }
            match unseen.last() {
                Some(payment) => after = Some(payment.id),
                None => return Ok(()),
            }
            self.beat().await?;
        }
    }

    /// Judges the charges of one payment, and does what is to be done about them.
    async fn judge(&self, payment: Option<&BookedPayment>, charges: &[CapturedCharge]) -> Result<(), AuditError> {
        let paid_with = match payment.filter(|payment| payment.reference.is_some()) {
            None => false,
            Some(payment) => {
                match charges.iter().find(|charge| Some(&charge.reference) == payment.reference.as_ref()) {
                    Some(charge) => !charge.refunded || payment.status == PaymentStatus::Refunded,
                    None => self.is_captured(payment).await?,
                }
            }
        };
        for charge in charges {
            match verdict(charge, payment, paid_with) {
                Verdict::Fine => {}
                Verdict::Report(kind) => self.report(charge, kind).await?,
                Verdict::Refund(kind) => {
                    // Written down first: a worker that dies in between leaves word of it.
                    self.record(charge, kind, Action::Refunding).await?;
                    self.refund(&charge.key).await?;
                }
            }
        }
        Ok(())
    }

    /// Whether the gateway has the charge that a payment was paid with; if not, that is reported.
    /// The page is older than the payment perhaps, so the gateway is asked for that very key.
    async fn is_captured(&self, payment: &BookedPayment) -> Result<bool, AuditError> {
        match self.asked(self.auditor.gateway.lookup(&payment.key())).await? {
            Lookup::Unknown => Err(Unreachable.into()),
            Lookup::Found(ChargeOutcome::Approved { reference }) if Some(&reference) == payment.reference.as_ref() => {
                Ok(true)
            }
            Lookup::Found(_) | Lookup::NotFound => {
                let finding = Finding {
                    charge_key: payment.key(),
                    payment_id: payment.id.to_string(),
                    amount: payment.amount,
                    kind: Kind::Missing,
                    action: Action::Reported,
                };
                self.tell(&finding).await?;
                Ok(false)
            }
        }
    }

    async fn report(&self, charge: &CapturedCharge, kind: Kind) -> Result<(), AuditError> {
        self.record(charge, kind, Action::Reported).await
    }

    async fn record(&self, charge: &CapturedCharge, kind: Kind, action: Action) -> Result<(), AuditError> {
        let (charge_key, payment_id) = (charge.key.clone(), charge.payment.clone());
        self.tell(&Finding { charge_key, payment_id, amount: charge.amount, kind, action }).await
    }

    async fn tell(&self, finding: &Finding) -> Result<(), AuditError> {
        if audit::record(self.pool(), self.id, finding).await? {
            let Finding { charge_key, amount, kind, action, .. } = finding;
            tracing::error!(audit = %self.id, key = charge_key.as_str(), %amount, finding = kind.as_str(),
                action = action.as_str(), "the gateway's ledger and the shop's payments differ");
            metrics::counter!("shop_gateway_audit_findings_total", "finding" => kind.as_str()).increment(1);
        }
        Ok(())
    }

    async fn refund(&self, key: &ChargeKey) -> Result<(), AuditError> {
        let action = match self.asked(self.auditor.gateway.refund(key)).await? {
            RefundOutcome::Refunded => Action::Refunded,
            RefundOutcome::NothingCaptured => Action::Reported,
            RefundOutcome::Unknown => return Err(Unreachable.into()),
        };
        audit::refund_ended(self.pool(), key, action).await?;
        tracing::warn!(audit = %self.id, key = key.as_str(), action = action.as_str(), "a refund has ended");
        Ok(())
    }

    async fn beat(&self) -> Result<(), AuditError> {
        let ours = audit::beat(self.pool(), self.id, self.auditor.boot, self.charges).await?;
        if ours { Ok(()) } else { Err(AuditError::TakenOver) }
    }

    /// An answer of the gateway, unless it takes too long or the worker stops.
    async fn asked<T>(&self, answer: impl Future<Output = T>) -> Result<T, AuditError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(AuditError::Stopped),
            answer = timeout(self.auditor.patience, answer) => Ok(answer.map_err(|_| Unreachable)?),
        }
    }

    fn pool(&self) -> &PgPool {
        &self.auditor.pool
    }
}

/// What is to be done about a captured charge, whose payment is certainly paid with a charge that is
/// captured, or not. Nothing is given back that an order may still be paid with.
fn verdict(charge: &CapturedCharge, payment: Option<&BookedPayment>, paid_with: bool) -> Verdict {
    if charge.refunded {
        return Verdict::Fine;
    }
    let Some(payment) = payment else { return Verdict::Refund(Kind::Forgotten) };
    match payment.status {
        PaymentStatus::Failed => Verdict::Refund(Kind::Forgotten),
        // The job of an open payment charges its number, and after a decline the next one, until it comes
        // to the one that is captured. It never comes back to one that is behind.
        PaymentStatus::Pending if charge.key.charge_no().is_some_and(|number| number >= payment.charge_no) => {
            Verdict::Fine
        }
        PaymentStatus::Pending => Verdict::Refund(Kind::Forgotten),
        PaymentStatus::Completed | PaymentStatus::Refunded => {
            match (Some(&charge.reference) == payment.reference.as_ref(), paid_with) {
                (true, _) if charge.amount == payment.amount => Verdict::Fine,
                (true, _) => Verdict::Report(Kind::Amount),
                (false, true) => Verdict::Refund(Kind::Double),
                (false, false) => Verdict::Report(Kind::Double),
            }
        }
    }
}
