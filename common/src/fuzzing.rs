//! What must be so of texts that others write, whatever they write: each function takes any bytes, and panics if it is not.
//!
//! cargo-fuzz feeds them bytes that it makes up (`fuzz/`), the tests feed them the seeds of `fuzz/corpus`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::id::{BootId, JobId, OrderId};
use crate::jobs::ledger::TakenJob;
use crate::jobs::{ChargePayment, PayloadError, RefundPayment, Task, Token};
use crate::money::Money;
use crate::orders::idempotency::IdempotencyKey;
use crate::pagination::Direction;
use crate::pagination::cursor::{Cursor, Kind, Scope};
use crate::products::Price;
pub use crate::products::import::fuzzing::import_line;
use crate::trace::{self, TraceContext, TraceParent};

/// A cursor that is read is written just so again. The bytes are one, or the JSON that is in one.
pub fn cursor(data: &[u8]) {
    let scope = Scope::of("fuzz", "value", Direction::Ascending, &());
    let encoded = URL_SAFE_NO_PAD.encode(data);
    for text in str::from_utf8(data).into_iter().chain([encoded.as_str()]) {
        for kind in [Kind::Id, Kind::Number, Kind::Text, Kind::Time] {
            if let Ok(position) = Cursor::read(text, scope, kind) {
                assert_eq!(Cursor::new(scope, position).to_string(), text, "as {kind:?}");
            }
        }
    }
}

/// A price is exactly what its digits say, has two decimals, and comes back from text and from JSON.
pub fn price(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let money = text.parse::<Money>().ok();
    assert_eq!(text.parse::<Price>().ok(), money.and_then(|money| Price::try_from(money).ok()));
    if let Ok(read) = serde_json::from_str::<Money>(text) {
        assert_eq!(Some(read), text.trim().parse().ok(), "as JSON and as text");
    }
    let Some(money) = money else { return };
    assert_eq!(minor_units(text), Some(money.minor()), "what the digits say");

    let printed = money.to_string();
    assert!(printed.rsplit_once('.').is_some_and(|(_, decimals)| decimals.len() == 2), "{printed}");
    assert_eq!(printed.parse(), Ok(money));
    let json = serde_json::to_string(&money).unwrap_or_default();
    assert_eq!(serde_json::from_str::<Money>(&json).ok(), Some(money), "{json}");
    assert_eq!(serde_json::from_str::<Price>(&json).ok(), Price::try_from(money).ok(), "{json}");
}

/// The minor units that a number has, by moving its point. Nothing if it has more than two decimals, or is no amount.
fn minor_units(text: &str) -> Option<i64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (sign, unsigned) = match mantissa.strip_prefix('-') {
        Some(unsigned) => (-1, unsigned),
        None => (1, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, decimals) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{decimals}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let zeros = digits.len().checked_sub(significant.len())?;
    let decimals = i64::try_from(decimals.len()).ok()? - i64::try_from(zeros).ok()? - exponent.parse::<i64>().ok()?;
    let shift = u32::try_from(2 - decimals).ok()?;
    significant.parse::<i64>().ok()?.checked_mul(10_i64.checked_pow(shift)?)?.checked_mul(sign)
}

/// A key is short and printable, and the same key when it is quoted, and when it is bare.
pub fn idempotency_key(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(key) = text.parse::<IdempotencyKey>() else { return };
    let bare = key.as_str();
    assert!((1..=255).contains(&bare.len()) && bare.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{bare:?}");

    let quoted = format!("\"{}\"", bare.replace('\\', r"\\").replace('"', r#"\""#));
    assert_eq!(quoted.parse(), Ok(key.clone()), "{quoted}");
    // What has quotes or spaces around it can only be said in quotes.
    let looks_quoted = bare.len() > 1 && bare.starts_with('"') && bare.ends_with('"');
    if !looks_quoted && bare.trim() == bare {
        assert_eq!(bare.parse(), Ok(key.clone()), "{bare}");
    }
}

/// A trace that is read is written in the version of today and comes back, and so does what is beside it, which is short and
/// printable. The first line is a `traceparent`, each other one a `tracestate`.
pub fn traceparent(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (parent, states) = text.split_once('\n').unwrap_or((text, ""));
    let Some(context) = TraceContext::read([parent], states.split('\n')) else {
        assert!(parent.parse::<TraceParent>().is_err(), "{parent:?}");
        return;
    };
    let written = context.parent.to_string();
    assert!(written.len() == 55 && written.starts_with("00-"), "{written}");
    assert_eq!(written[3..52], parent[3..52], "the ids are those that came");
    if let Some(state) = &context.state {
        let printable = state.as_str().bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        assert!(printable && (1..=512).contains(&state.as_str().len()), "{state:?}");
    }
    assert_eq!(trace::Kept::from(Some(&context)).context(), Some(context), "{text:?}");
}

/// A payload is read as what its kind and version say, and comes back as it was written; any other is refused as unknown.
pub fn job_payload(data: &[u8]) {
    let Ok(payload) = serde_json::from_slice::<Value>(data) else { return };
    let (charge, refund) = (ChargePayment::KIND, RefundPayment::KIND);
    for (kind, version) in [(charge, 1), (refund, 1), (charge, 2), (refund, 0), ("other", 1)] {
        let read = taken(kind, version, payload.clone()).parse();
        let Some(task) = Task::of(kind, version) else {
            assert!(matches!(read, Err(PayloadError::UnknownKind { .. })), "{kind} {version}");
            continue;
        };
        let written = match task {
            Task::Charge => ChargePayment::parse(kind, version, &payload).map(|charge| charge.payload()),
            Task::Refund => RefundPayment::parse(kind, version, &payload).map(|refund| refund.payload()),
        };
        match (read, written) {
            (Ok(payment), Ok(written)) => {
                assert_eq!(taken(kind, version, written).parse().ok(), Some(payment));
            }
            (read, written) => assert!(read.is_err() && written.is_err(), "{read:?} {written:?}"),
        }
    }
}

fn taken(kind: &str, version: i16, payload: Value) -> TakenJob {
    TakenJob {
        id: JobId(uuid::Uuid::nil()),
        token: Token::new(BootId(uuid::Uuid::nil()), 1),
        kind: kind.to_owned(),
        version,
        payload,
        order_id: OrderId(uuid::Uuid::nil()),
        attempts: 0,
        claims: 1,
        retries: 0,
        age_seconds: 0.0,
        lateness_seconds: 0.0,
        taken_over: false,
        give_up: None,
        request_id: None,
        trace: trace::Kept::default(),
    }
}

#[cfg(test)]
mod tests {
    use shop_testkit::seeds::feed;

    #[test]
    fn seeds_of_cursors_hold() {
        feed("cursor", super::cursor);
    }

    #[test]
    fn seeds_of_prices_hold() {
        feed("price", super::price);
    }

    #[test]
    fn seeds_of_idempotency_keys_hold() {
        feed("idempotency_key", super::idempotency_key);
    }

    #[test]
    fn seeds_of_import_lines_hold() {
        feed("import_line", super::import_line);
    }

    #[test]
    fn seeds_of_traces_hold() {
        feed("traceparent", super::traceparent);
    }

    #[test]
    fn seeds_of_job_payloads_hold() {
        feed("job_payload", super::job_payload);
    }
}
