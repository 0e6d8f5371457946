//! Values as they are typed: read into types that cannot be wrong, or refused with the reason (exit code 2).

use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use shop_common::orders::status::OrderStatus;
use shop_common::payments::PaymentStatus;
use shop_common::time::{self, Timestamp};

/// A value that is made of a text.
pub(crate) fn text<T: TryFrom<String>>(text: &str) -> Result<T, T::Error> {
    T::try_from(text.to_owned())
}

/// Where an order can be, in the letters of the command line, so that typos are close to one of them.
const ORDER_STATUSES: [&str; 6] = ["pending", "processing", "completed", "failed", "cancelled", "refunded"];
/// The same of a payment.
const PAYMENT_STATUSES: [&str; 4] = ["pending", "completed", "failed", "refunded"];

/// The status of an order, in capitals or not.
pub(crate) fn order_status() -> impl TypedValueParser<Value = OrderStatus> {
    PossibleValuesParser::new(ORDER_STATUSES).try_map(|name| name.to_uppercase().parse())
}

/// The status of a payment, in capitals or not.
pub(crate) fn payment_status() -> impl TypedValueParser<Value = PaymentStatus> {
    PossibleValuesParser::new(PAYMENT_STATUSES).try_map(|name| name.to_uppercase().parse())
}

/// A point in time: of RFC 3339, a day (its first instant, UTC), or so long ago (`30m`, `24h`, `7d`).
///
/// As it is typed, it says to which list a cursor belongs: `24h` is another instant for each page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub(crate) struct Moment {
    typed: String,
    /// The instant.
    pub(crate) at: Timestamp,
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ago = || humantime::parse_duration(text).ok().and_then(time::ago);
        let at = time::read(text).or_else(ago).ok_or(
            "it must be a time such as 2026-01-31T12:00:00Z, a day such as 2026-01-31, or an age such as 30m, 24h, 7d",
        )?;
        Ok(Self { typed: text.to_owned(), at })
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.typed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_can_be_typed() {
        assert_eq!(ORDER_STATUSES.map(str::to_uppercase), OrderStatus::ALL.map(OrderStatus::as_str));
        assert_eq!(PAYMENT_STATUSES.map(str::to_uppercase), PaymentStatus::ALL.map(PaymentStatus::as_str));
    }

    #[test]
    fn a_moment_is_a_time_a_day_or_an_age_and_goes_into_cursors_as_it_was_typed() {
        let at = |text: &str| text.parse::<Moment>().map(|moment| moment.at);
        assert_eq!(at("2026-01-31"), at("2026-01-31T00:00:00Z"));
        assert!(at("2w").unwrap() < at("24h").unwrap() && at("24h").unwrap() < at("30m").unwrap());
        assert_eq!(serde_json::to_string(&"24h".parse::<Moment>().unwrap()).unwrap(), "\"24h\"");
        for nonsense in ["", "yesterday", "24", "-1h", "9999999999y"] {
            assert!(at(nonsense).is_err(), "{nonsense:?}");
        }
    }
}
