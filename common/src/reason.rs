//! Why somebody changed something by hand.

/// Why, in a few words: 1 to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct Reason(String);

impl Reason {
    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
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
