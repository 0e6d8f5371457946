//! Exact amounts of money: integers of minor units, never floating point.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// An amount in minor units (cents) of the shop's currency; two decimals.
///
/// At most 15 digits, so that every amount is exact as a JSON number even for
/// clients that read numbers as IEEE 754 doubles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type, ToSchema)]
#[schema(value_type = f64, minimum = 0, maximum = 9999999999999.99, multiple_of = 0.01, example = json!(19.99))]
#[sqlx(transparent)]
pub struct Money(i64);

/// The largest power of ten that an amount can be written with: more than it has digits.
const SHIFTS: i32 = 20;

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a number at all.
    #[error("it must be a number with at most two decimals, for example 19.99")]
    NotANumber,
    /// More than two decimals.
    #[error("it must have at most two decimals, for example 19.99")]
    TooManyDecimals,
    /// Negative, or more than 15 digits.
    #[error("it must be between 0 and 9999999999999.99")]
    OutOfRange,
}

impl Money {
    /// The largest amount: 15 digits.
    pub const MAX: Self = Self(999_999_999_999_999);

    /// An amount of so many minor units, if it is in range.
    pub fn from_minor(minor: i64) -> Result<Self, MoneyError> {
        if (0..=Self::MAX.0).contains(&minor) { Ok(Self(minor)) } else { Err(MoneyError::OutOfRange) }
    }

    /// The amount in minor units.
    pub fn minor(self) -> i64 {
        self.0
    }

    /// So many times this amount, unless that is out of range.
    pub fn times(self, quantity: i64) -> Option<Self> {
        self.0.checked_mul(quantity).and_then(|minor| Self::from_minor(minor).ok())
    }

    /// The sum, unless that is out of range.
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(|minor| Self::from_minor(minor).ok())
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    /// Reads a JSON number or a plain decimal, `19.9` or `1.99e1`.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let decimal = exact(text)?.normalize();
        if decimal.scale() > 2 {
            return Err(MoneyError::TooManyDecimals);
        }
        let minor = decimal.checked_mul(Decimal::ONE_HUNDRED).and_then(|minor| minor.to_i64());
        Self::from_minor(minor.ok_or(MoneyError::OutOfRange)?)
    }
}

/// Reads a number without rounding.
fn exact(text: &str) -> Result<Decimal, MoneyError> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    // `Decimal` reads `1_000` too, which is a number to nobody else.
    if mantissa.contains('_') {
        return Err(MoneyError::NotANumber);
    }
    let mut number = Decimal::from_str_exact(mantissa).map_err(|_| MoneyError::NotANumber)?.normalize();
    let exponent: i32 = exponent.parse().map_err(|_| MoneyError::NotANumber)?;
    if exponent <= 0 {
        // The point moves. To divide would round when there are no digits left.
        let decimals = number.scale().saturating_add(exponent.unsigned_abs());
        number.set_scale(decimals).map_err(|_| MoneyError::TooManyDecimals)?;
        Ok(number)
    } else if exponent <= SHIFTS {
        (0..exponent).try_fold(number, |number, _| number.checked_mul(Decimal::TEN)).ok_or(MoneyError::OutOfRange)
    } else {
        Err(MoneyError::OutOfRange)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// As a JSON number without trailing zeros, which is how JavaScript writes it: `19.9`, `20`.
impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 100 == 0 {
            serializer.serialize_i64(self.0 / 100)
        } else {
            // Exact: with 15 digits at most, the shortest decimal that reads
            // back as this double has the same two decimals.
            #[allow(clippy::cast_precision_loss, reason = "15 digits fit a double")]
            serializer.serialize_f64(self.0 as f64 / 100.0)
        }
    }
}

/// From a JSON number, read digit by digit and never through a double.
impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        raw.get().parse().map_err(D::Error::custom)
    }
}

/// An ISO 4217 code, for example `USD`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(pattern = "^[A-Z]{3}$", example = "USD")]
#[sqlx(transparent)]
pub struct Currency(String);

impl Currency {
    /// The three letters.
    pub fn code(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Currency {
    type Error = &'static str;

    fn try_from(code: String) -> Result<Self, Self::Error> {
        if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            Ok(Self(code))
        } else {
            Err("a currency is three capital letters, for example USD")
        }
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_amount_has_at_most_two_decimals() {
        assert_eq!("19.99".parse(), Ok(Money(1999)));
        assert_eq!("19.90".parse(), Ok(Money(1990)));
        assert_eq!("1.5e1".parse(), Ok(Money(1500)));
        assert_eq!("0.001".parse::<Money>(), Err(MoneyError::TooManyDecimals));
        assert_eq!("-1".parse::<Money>(), Err(MoneyError::OutOfRange));
        assert_eq!("1e300".parse::<Money>(), Err(MoneyError::OutOfRange));
        assert_eq!("1e-300".parse::<Money>(), Err(MoneyError::TooManyDecimals));
        assert_eq!("1.000000000000000000000000000001e0".parse::<Money>(), Err(MoneyError::NotANumber));
        assert_eq!("1250e-2".parse(), Ok(Money(1250)));
        assert_eq!("1.0000000000000000000000000001e-1".parse::<Money>(), Err(MoneyError::TooManyDecimals));
        assert_eq!("1_000".parse::<Money>(), Err(MoneyError::NotANumber));
        assert_eq!("\"1\"".parse::<Money>(), Err(MoneyError::NotANumber));
    }

    #[test]
    fn a_sum_out_of_range_is_refused() {
        assert_eq!(Money::MAX.plus(Money(1)), None);
        assert_eq!(Money::MAX.times(i64::MAX), None);
    }

    proptest! {
        #[test]
        fn every_amount_survives_json_to_the_cent(minor in 0..=Money::MAX.0) {
            let json = serde_json::to_string(&Money(minor)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), Money(minor));
            let as_double: f64 = json.parse().unwrap();
            prop_assert_eq!(format!("{as_double:.2}"), Money(minor).to_string());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = text.parse::<Money>();
        }
    }
}
