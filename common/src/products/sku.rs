//! Skus: what the shop's own people call a product.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the shop's own people call a product (stock keeping unit): 1 to 64 printable ASCII characters, the first and the
/// last of which are no spaces. Products that are not deleted have different ones, or none; `a` and `A` are different.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(try_from = "String")]
#[schema(min_length = 1, max_length = 64, pattern = r"^[!-~]([ -~]{0,62}[!-~])?$", example = "MUG-500")]
#[sqlx(transparent)]
pub struct Sku(String);

impl Sku {
    /// Its characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Sku {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if (1..=64).contains(&text.len()) && printable && text.trim() == text {
            Ok(Self(text.to_owned()))
        } else {
            Err("a sku must have 1 to 64 printable ASCII characters, and no spaces around it")
        }
    }
}

impl TryFrom<String> for Sku {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_is_short_printable_and_has_no_spaces_around_it() {
        for good in ["1", "MUG-350", "a b", "~!\"',;", &"x".repeat(64)] {
            assert_eq!(good.parse::<Sku>().unwrap().as_str(), good);
        }
        for bad in ["", " ", " a", "a ", "a\tb", "a\nb", "é", "a\0", &"x".repeat(65)] {
            assert!(bad.parse::<Sku>().is_err(), "{bad:?}");
        }
    }
}
