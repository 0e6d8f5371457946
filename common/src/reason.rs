//! Why somebody changed something by hand.

use serde::{Deserialize, Serialize};

/// Why, in a few words: 1 to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(try_from = "String")]
#[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*\S[^\x00]*$", example = "arrived broken")]
#[sqlx(transparent)]
pub struct Reason(String);

impl Reason {
    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Reason {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl std::str::FromStr for Reason {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let reason = text.trim();
        // PostgreSQL stores no NUL.
        if (1..=200).contains(&reason.chars().count()) && !reason.contains('\0') {
            Ok(Self(reason.to_owned()))
        } else {
            Err("a reason must have 1 to 200 characters")
        }
    }
}
