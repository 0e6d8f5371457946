//! `shopctl payments show`: all that came of a payment.

use std::io;

use shop_common::jobs::ledger::AttemptRecord;
use shop_common::payments::ChargeKey;
use shop_common::payments::record::{self, AskedRefund, Finding, Payment, PaymentRecord};

use crate::args::payments::PaymentsShowArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// Shows one payment.
pub(crate) async fn show(args: &PaymentsShowArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let record = record::find(&shop.pool, args.id).await.map_err(database)?.ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("there is no payment {0}, and no order {0} that has one", args.id))
            .next("list them with `shopctl payments list`")
    })?;
    output::one(args.shop.output, &record, print)?;
    Ok(())
}

/// A payment in a line.
pub(crate) fn in_short(payment: &Payment) -> String {
    let Payment { id, status, method, .. } = payment;
    let in_flight = if payment.open_key.is_some() { ", a charge is in flight" } else { "" };
    format!("{}, {}, {id}{in_flight}", status.as_str(), method.as_str())
}

/// What the gateway said to each attempt, under an empty line; nothing where there was none.
pub(crate) fn print_attempts(attempts: &[AttemptRecord]) -> io::Result<()> {
    if attempts.is_empty() {
        return Ok(());
    }
    output::data("")?;
    let row = |attempt: &AttemptRecord| {
        [
            attempt.claim.to_string(),
            attempt.created_at.format("%F %T%.3f").to_string(),
            attempt.outcome.clone(),
            output::or_dash(attempt.code.as_ref()),
            attempt.charge_key.clone(),
        ]
    };
    output::table(["CLAIM", "AT (UTC)", "OUTCOME", "CODE", "KEY"], attempts.iter().map(row).collect())
}

fn print(PaymentRecord { payment, attempts, refund, findings }: &PaymentRecord) -> io::Result<()> {
    output::facts(&[
        ("id", payment.id.to_string()),
        ("order", payment.order_id.to_string()),
        ("status", payment.status.as_str().to_owned()),
        ("amount", format!("{} {}", payment.amount, payment.currency.code())),
        ("method", payment.method.as_str().to_owned()),
        ("charge", payment.charge_no.to_string()),
        ("open key", output::or_dash(payment.open_key.as_ref().map(ChargeKey::as_str))),
        ("reference", output::or_dash(payment.reference.as_ref())),
        ("last error", output::or_dash(payment.last_error.as_ref())),
        ("refund", output::or_dash(refund.as_ref().map(refund_in_short))),
        ("created", format!("{} UTC", output::time(&payment.created_at))),
        ("updated", format!("{} UTC", output::time(&payment.updated_at))),
    ])?;
    print_attempts(attempts)?;
    if findings.is_empty() {
        return Ok(());
    }
    output::data("")?;
    let row = |finding: &Finding| {
        [
            output::time(&finding.created_at),
            finding.kind.as_str().to_owned(),
            finding.action.as_str().to_owned(),
            finding.amount.to_string(),
            finding.charge_key.as_str().to_owned(),
        ]
    };
    output::table(["FOUND AT (UTC)", "FINDING", "ACTION", "AMOUNT", "CHARGE"], findings.iter().map(row).collect())
}

fn refund_in_short(AskedRefund { refund, last_error }: &AskedRefund) -> String {
    let error = last_error.as_ref().map(|error| format!(", last tried in vain: {error}")).unwrap_or_default();
    format!("{} since {} UTC{error}", refund.status.as_str(), output::time(&refund.requested_at))
}
