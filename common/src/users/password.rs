//! Passwords: which are strong enough, and their Argon2id hashes.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};

/// Longer ones cost time to hash and protect nobody.
const MAX_BYTES: usize = 1024;

/// Nobody's hash. What is checked against it fails, in the time that a known user's password takes.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$zfzF5/zI5GXkyLCl+LKQ0tFTkTcOVL1VWd8ggj1VB4U";

/// A password that a new account may have.
#[derive(Debug, Clone)]
pub struct StrongPassword(SecretString);

/// The password is too weak (or absurdly long).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it must have at least 8 characters (at most 1024 bytes): an upper case and a lower case letter, a digit and a symbol among them"
)]
pub struct WeakPassword;

impl TryFrom<SecretString> for StrongPassword {
    type Error = WeakPassword;

    fn try_from(password: SecretString) -> Result<Self, WeakPassword> {
        let text = password.expose_secret();
        let strong = text.chars().count() >= 8
            && text.len() <= MAX_BYTES
            && text.chars().any(char::is_uppercase)
            && text.chars().any(char::is_lowercase)
            && text.chars().any(|c| c.is_ascii_digit())
            && text.chars().any(|c| !c.is_alphanumeric() && !c.is_whitespace());
        if strong { Ok(Self(password)) } else { Err(WeakPassword) }
    }
}

impl StrongPassword {
    /// The password of the seeded admin in development, weak on purpose and refused everywhere else.
    pub(crate) fn of_development() -> Self {
        Self("password".into())
    }

    /// The text, to be hashed or shown once.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

/// Hashing failed, which has no cause in the password.
#[derive(Debug, thiserror::Error)]
#[error("the password cannot be hashed: {0}")]
pub struct HashError(#[from] argon2::password_hash::Error);

/// Hashes a password with Argon2id (19 MiB, two passes) and a fresh salt. Takes tens of milliseconds of a core.
///
/// # Errors
/// When there is no memory or no randomness.
pub fn hash(password: &StrongPassword) -> Result<String, HashError> {
    Ok(Argon2::default().hash_password(password.0.expose_secret().as_bytes())?.to_string())
}

/// Whether the password belongs to the hash. Takes as long as hashing, also for a text that is no hash.
pub fn verify(password: &SecretString, hash: Option<&str>) -> bool {
    let known = hash.and_then(|hash| PasswordHash::new(hash).ok());
    let Some(parsed) = known.clone().or_else(|| PasswordHash::new(NOBODY).ok()) else { return false };
    let bytes = password.expose_secret().as_bytes();
    let matches = bytes.len() <= MAX_BYTES && Argon2::default().verify_password(bytes, &parsed).is_ok();
    matches && known.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strong(text: &str) -> Result<StrongPassword, WeakPassword> {
        SecretString::from(text).try_into()
    }

    #[test]
    fn a_strong_password_has_letters_of_both_cases_a_digit_and_a_symbol() {
        assert!(strong("Corr3ct-horse").is_ok());
        for weak in ["Sh0rt-p", "no-upper-c4se", "NO-LOWER-C4SE", "No-Digits-Here", "NoSymbols123"] {
            assert_eq!(strong(weak).unwrap_err(), WeakPassword, "{weak}");
        }
        assert!(strong(&format!("Aa1-{}", "x".repeat(MAX_BYTES))).is_err());
    }

    #[test]
    fn only_the_password_itself_matches_its_hash() {
        let password = strong("Corr3ct-horse").unwrap();
        let hash = hash(&password).unwrap();

        assert!(hash.starts_with("$argon2id$"));
        assert!(verify(password.secret(), Some(&hash)));
        assert!(!verify(&"Corr3ct-Horse".into(), Some(&hash)));
        assert!(!verify(password.secret(), None));
    }

    #[test]
    fn an_unknown_user_is_checked_against_a_hash_of_the_same_cost() {
        let hash = hash(&strong("Corr3ct-horse").unwrap()).unwrap();
        let cost = |hash: &str| hash.split('$').nth(3).map(str::to_owned);

        assert!(PasswordHash::new(NOBODY).is_ok());
        assert_eq!(cost(NOBODY), cost(&hash));
    }
}
