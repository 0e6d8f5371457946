//! One audit on its way through the ledger: page by page, from the oldest payment to those of the time when it began.

use std::collections::{BTreeMap, HashMap};

use shop_common::id::{AuditId, PaymentId};
use shop_common::jobs::pause;
use shop_common::payments::audit::{self, Action, BookedPayment, Finding, Kind};
use shop_common::payments::{ChargeKey, PaymentStatus};
use sqlx::PgPool;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{AuditError, Auditor, patiently};
use crate::payments::gateway::{CapturedCharge, ChargeOutcome, Lookup, REFUNDED, RefundOutcome, Unreachable};

/// Charges and payments that are looked at together.
const PAGE: u32 = 500;

/// One audit on its way through the ledger.
pub(super) struct Walk<'a> {
    auditor: &'a Auditor,
    id: AuditId,
    stop: &'a CancellationToken,
    /// Younger payments are left to the next audit, so that this one ends in a busy shop.
    horizon: PaymentId,
    /// Charges seen so far.
    charges: i64,
    /// Refunds that audits have asked for lately.
    refunds: u32,
    /// Charges that were only reported because there were too many refunds.
    held_back: u32,
    /// Refunds of which the gateway did not say what became of them.
    unanswered: u32,
}

/// What is to be done about a charge that the gateway has captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine,
    Refund(Kind),
    Report(Kind),
}

impl<'a> Walk<'a> {
    pub(super) fn new(auditor: &'a Auditor, id: AuditId, stop: &'a CancellationToken) -> Self {
        let horizon = PaymentId::new();
        Self { auditor, id, stop, horizon, charges: 0, refunds: 0, held_back: 0, unanswered: 0 }
    }

    /// Goes to the end of the ledger, and gives how many charges it has compared.
    pub(super) async fn walk(mut self) -> Result<i64, AuditError> {
        self.refunds = patiently(audit::refunds_lately(self.pool())).await?.try_into().unwrap_or(u32::MAX);
        for key in patiently(audit::refunding(self.pool())).await? {
            self.go_on_refunding().await?;
            self.refund(&key).await?;
        }
        self.pages().await?;
        let at_most = self.auditor.refunds_at_most;
        match (self.held_back, self.unanswered) {
            (0, 0) => Ok(self.charges),
            (0, unanswered) => Err(AuditError::Unanswered(unanswered)),
            (held_back, _) => Err(AuditError::TooMany { held_back, at_most }),
        }
    }

    async fn pages(&mut self) -> Result<(), AuditError> {
        let mut page_after: Option<ChargeKey> = None;
        // The last payment whose charges have begun; they may go on, on the next page.
        let mut begun: Option<(PaymentId, Vec<CapturedCharge>)> = None;
        loop {
            let page = self.asked(self.auditor.gateway.captured(page_after.as_ref(), PAGE)).await??;
            let Some(last) = page.last().map(|charge| charge.key.clone()) else { break };
            if page_after.as_ref() == Some(&last) {
                return Err(AuditError::SamePage);
            }
            let ends = last.payment().is_some_and(|payment| payment > self.horizon);
            page_after = Some(last);
            self.charges += i64::try_from(page.len()).unwrap_or(i64::MAX);
            let after = begun.as_ref().map(|(payment, _)| *payment);
            let mut by_payment: BTreeMap<PaymentId, Vec<CapturedCharge>> = begun.take().into_iter().collect();
            for charge in page {
                match charge.key.payment() {
                    Some(payment) if payment > self.horizon => {}
                    Some(payment) => by_payment.entry(payment).or_default().push(charge),
                    None if charge.refunded => {}
                    // The shop never makes such a key, so it is not for the shop to give that money back.
                    None => self.report(&charge, Kind::Forgotten).await?,
                }
            }
            begun = by_payment.pop_last();
            let before = begun.as_ref().map_or(self.horizon, |(payment, _)| *payment);
            self.compare(&by_payment, after, before).await?;
            self.beat().await?;
            if ends {
                break;
            }
        }
        let after = begun.as_ref().map(|(payment, _)| *payment);
        self.compare(&begun.into_iter().collect(), after, self.horizon).await?;
        self.beat().await
    }

    /// Compares the charges of some payments with the shop; then the shop's payments between those
    /// two with the ledger, which has none of their charges on its pages.
    async fn compare(
        &mut self,
        by_payment: &BTreeMap<PaymentId, Vec<CapturedCharge>>,
        mut after: Option<PaymentId>,
        before: PaymentId,
    ) -> Result<(), AuditError> {
        let seen: Vec<PaymentId> = by_payment.keys().copied().collect();
        let booked: HashMap<PaymentId, BookedPayment> = patiently(audit::payments(self.pool(), &seen))
            .await?
            .into_iter()
            .map(|payment| (payment.id, payment))
            .collect();
        for (payment, charges) in by_payment {
            self.judge(booked.get(payment), charges).await?;
        }
        loop {
            let unseen = patiently(audit::completed(self.pool(), after, Some(before), &seen, PAGE)).await?;
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
    async fn judge(&mut self, payment: Option<&BookedPayment>, charges: &[CapturedCharge]) -> Result<(), AuditError> {
        let paid_with = match (payment.filter(|payment| payment.status == PaymentStatus::Completed), charges) {
            (None, _) => false,
            // As it should be, so the gateway need not be asked.
            (Some(payment), [only]) if only.key == payment.key() && !only.refunded => true,
            (Some(payment), _) => self.is_captured(payment).await?,
        };
        for charge in charges {
            match verdict(charge, payment, paid_with) {
                Verdict::Fine if self.is_kept(charge, payment).await? => self.report(charge, Kind::Forgotten).await?,
                Verdict::Fine => {}
                Verdict::Report(kind) => self.report(charge, kind).await?,
                Verdict::Refund(kind) if self.refunds >= self.auditor.refunds_at_most => {
                    self.held_back += 1;
                    self.report(charge, kind).await?;
                }
                Verdict::Refund(kind) => {
                    self.go_on_refunding().await?;
                    self.refunds += 1;
                    // Written down first: a worker that dies in between leaves word of it.
                    self.record(charge, kind, Action::Refunding).await?;
                    self.refund(&charge.key).await?;
                }
            }
        }
        Ok(())
    }

    /// Whether the gateway has the charge that a payment was paid with; if not, that is reported, unless the shop
    /// itself has asked for it to be given back.
    /// The page is older than the payment perhaps, so the gateway is asked for that very key.
    async fn is_captured(&self, payment: &BookedPayment) -> Result<bool, AuditError> {
        match self.asked(self.auditor.gateway.lookup(&payment.key())).await? {
            Lookup::Unknown => Err(Unreachable.into()),
            Lookup::Found(ChargeOutcome::Approved { reference }) if Some(&reference) == payment.reference.as_ref() => {
                Ok(true)
            }
            // The refund is looked for after the gateway was asked: whoever gave the money back had it written before.
            Lookup::Found(ChargeOutcome::Declined { code, .. })
                if code == REFUNDED && patiently(audit::is_to_be_refunded(self.pool(), payment.id)).await? =>
            {
                Ok(false)
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

    /// Whether the gateway still has a charge of which it has told the shop that it was given back. The page is older
    /// than the refund perhaps, so it is asked for that very key.
    async fn is_kept(&self, charge: &CapturedCharge, payment: Option<&BookedPayment>) -> Result<bool, AuditError> {
        let given_back = payment.is_some_and(|payment| {
            payment.status == PaymentStatus::Refunded && payment.key() == charge.key && !charge.refunded
        });
        if !given_back {
            return Ok(false);
        }
        match self.asked(self.auditor.gateway.lookup(&charge.key)).await? {
            Lookup::Unknown => Err(Unreachable.into()),
            Lookup::Found(found) => Ok(matches!(found, ChargeOutcome::Approved { .. })),
            Lookup::NotFound => Ok(false),
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
        if patiently(audit::record(self.pool(), self.id, finding)).await? {
            let Finding { charge_key, amount, kind, action, .. } = finding;
            tracing::error!(audit = %self.id, key = charge_key.as_str(), %amount, finding = kind.as_str(),
                action = action.as_str(), "the gateway's ledger and the shop's payments differ");
            metrics::counter!("shop_gateway_audit_findings_total", "finding" => kind.as_str()).increment(1);
        }
        Ok(())
    }

    /// Money is given back only while the queue is not paused.
    async fn go_on_refunding(&self) -> Result<(), AuditError> {
        match patiently(pause::current(self.pool())).await? {
            Some(_) => Err(AuditError::Paused),
            None => Ok(()),
        }
    }

    /// Gives a charge back. One of which the gateway does not say what became stays `refunding`, and is in nobody's way.
    async fn refund(&mut self, key: &ChargeKey) -> Result<(), AuditError> {
        let answer = match self.asked(self.auditor.gateway.refund(key)).await {
            Err(AuditError::Gateway(Unreachable)) => RefundOutcome::Unknown,
            answer => answer?,
        };
        let action = match answer {
            RefundOutcome::Refunded => Action::Refunded,
            RefundOutcome::NothingCaptured => Action::Reported,
            RefundOutcome::Unknown => {
                self.unanswered += 1;
                return self.beat().await;
            }
        };
        patiently(audit::refund_ended(self.pool(), key, action)).await?;
        tracing::warn!(audit = %self.id, key = key.as_str(), action = action.as_str(), "a refund has ended");
        self.beat().await
    }

    async fn beat(&self) -> Result<(), AuditError> {
        let ours = patiently(audit::beat(self.pool(), self.id, self.auditor.boot, self.charges)).await?;
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
            let (same_key, same_reference) =
                (charge.key == payment.key(), Some(&charge.reference) == payment.reference.as_ref());
            match (same_key, same_reference) {
                (true, true) if charge.amount == payment.amount => Verdict::Fine,
                (true, true) => Verdict::Report(Kind::Amount),
                // It paid the order, by its key, and the gateway calls it something else now.
                (true, false) => Verdict::Report(Kind::Missing),
                (false, false) if paid_with => Verdict::Refund(Kind::Double),
                (false, _) => Verdict::Report(Kind::Double),
            }
        }
    }
}
