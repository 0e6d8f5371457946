//! Whole numbers as JSON has them: `2`, and `2.0` too, which is the same number there.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// The largest whole number below which a double holds every other one.
const EXACT_IN_A_DOUBLE: f64 = 9_007_199_254_740_992.0;

/// A whole number, however it was written. Some languages write all numbers with a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole(pub i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_i64(WholeVisitor)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Whole, E> {
        Ok(Whole(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        i64::try_from(number).map(Whole).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
        if number.fract() == 0.0 && number.abs() <= EXACT_IN_A_DOUBLE {
            #[allow(clippy::cast_possible_truncation, reason = "it is whole, and a double holds it exactly")]
            let whole = number as i64;
            Ok(Whole(whole))
        } else {
            Err(E::invalid_value(Unexpected::Float(number), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_may_be_written_with_a_point_or_an_exponent() {
        for (json, expected) in [("2", 2), ("2.0", 2), ("2e0", 2), ("-0.0", 0), ("1e12", 1_000_000_000_000), ("-7", -7)]
        {
            assert_eq!(serde_json::from_str::<Whole>(json).unwrap(), Whole(expected), "{json}");
        }
        for json in ["2.5", "1e300", "9223372036854775808", "\"2\"", "null", "true", "[2]"] {
            assert!(serde_json::from_str::<Whole>(json).is_err(), "{json}");
        }
    }
}
