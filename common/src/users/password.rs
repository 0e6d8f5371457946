//! Passwords: which are strong enough, and their Argon2id hashes.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use zxcvbn::{Score, zxcvbn};

/// Shorter parts of what is known of somebody are in every second password.
const MIN_PART: usize = 4;
/// Longer ones cost time to hash and protect nobody.
const MAX_BYTES: usize = 1024;

/// What a hash costs: OWASP's first choice for Argon2id. Raise it here, and each user's hash follows at their next
/// login.
const COST: Params = Params::DEFAULT;

/// Nobody's hash, of that cost. What is checked against it fails, in the time that a known user's password takes.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$zfzF5/zI5GXkyLCl+LKQ0tFTkTcOVL1VWd8ggj1VB4U";

/// A password that a new account may have.
#[derive(Debug, Clone)]
pub struct StrongPassword(SecretString);

/// Why nobody may have a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// It is too short (or absurdly long), or of too few kinds of characters.
    #[error(
        "it must have at least 8 characters (at most 1024 bytes): an upper case and a lower case letter, a digit and a symbol among them"
    )]
    Plain,
    /// It is among those that are tried first.
    #[error(
        "it is too easy to guess: a common one, one of them in disguise, or made of your email; take some words that nobody would put together"
    )]
    Guessable,
}

impl TryFrom<SecretString> for StrongPassword {
    type Error = WeakPassword;

    fn try_from(password: SecretString) -> Result<Self, WeakPassword> {
        Self::chosen(password, &[])
    }
}

impl StrongPassword {
    /// A password that somebody has chosen, of whom these things are known. Takes a millisecond or more.
    ///
    /// # Errors
    /// When it is weak.
    pub fn chosen(password: SecretString, known: &[&str]) -> Result<Self, WeakPassword> {
        let text = password.expose_secret();
        let kinds = text.chars().any(char::is_uppercase)
            && text.chars().any(char::is_lowercase)
            && text.chars().any(|c| c.is_ascii_digit())
            && text.chars().any(|c| !c.is_alphanumeric() && !c.is_whitespace());
        if !kinds || text.chars().count() < 8 || text.len() > MAX_BYTES {
            return Err(WeakPassword::Plain);
        }
        // The rule above makes "P@ssw0rd1" out of "password". So it is not looked up as it is, but by how many
        // guesses it takes who has lists of passwords, names and words, and knows of such tricks: a hundred million
        // are too few.
        // Of an email also its parts: who is "quixotrel" somewhere may be so in the password too.
        let parts = known.iter().flat_map(|thing| thing.split(|c: char| !c.is_alphanumeric()));
        let known: Vec<&str> = known.iter().copied().chain(parts.filter(|part| part.len() >= MIN_PART)).collect();
        if zxcvbn(text, &known).score() < Score::Three {
            return Err(WeakPassword::Guessable);
        }
        Ok(Self(password))
    }

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
    of_cost(COST, &password.0)
}

fn of_cost(cost: Params, password: &SecretString) -> Result<String, HashError> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost);
    Ok(argon2.hash_password(password.expose_secret().as_bytes())?.to_string())
}

/// What a look at a hash says about a password.
#[derive(Debug)]
pub enum Verified {
    /// It does not belong to it.
    No,
    /// It does.
    Yes,
    /// It does, and the hash costs less than one costs today: this one is to be kept instead.
    Outdated(String),
}

/// Whether the password belongs to the hash. Takes as long as hashing, also for a text that is no hash; and twice as
/// long, once, for the right password of an outdated hash.
pub fn verify(password: &SecretString, hash: Option<&str>) -> Verified {
    let known = hash.and_then(|hash| PasswordHash::new(hash).ok());
    let Some(parsed) = known.clone().or_else(|| PasswordHash::new(NOBODY).ok()) else { return Verified::No };
    let bytes = password.expose_secret().as_bytes();
    let matches = bytes.len() <= MAX_BYTES && Argon2::default().verify_password(bytes, &parsed).is_ok();
    if !matches || known.is_none() {
        return Verified::No;
    }
    if !is_outdated(&parsed) {
        return Verified::Yes;
    }
    // Without a new hash the old one goes on.
    of_cost(COST, password).map_or(Verified::Yes, Verified::Outdated)
}

/// Whether a hash is of another kind, or cheaper in any way, than one that is made today.
fn is_outdated(hash: &PasswordHash) -> bool {
    let strong = Params::try_from(hash).is_ok_and(|params| {
        params.m_cost() >= COST.m_cost() && params.t_cost() >= COST.t_cost() && params.p_cost() >= COST.p_cost()
    });
    !strong || hash.algorithm != Algorithm::Argon2id.ident() || hash.version != Some(Version::V0x13.into())
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
            assert_eq!(strong(weak).unwrap_err(), WeakPassword::Plain, "{weak}");
        }
        assert!(strong(&format!("Aa1-{}", "x".repeat(MAX_BYTES))).is_err());
    }

    #[test]
    fn only_the_password_itself_matches_its_hash() {
        let password = strong("Corr3ct-horse").unwrap();
        let hash = hash(&password).unwrap();

        assert!(hash.starts_with("$argon2id$"));
        assert!(matches!(verify(password.secret(), Some(&hash)), Verified::Yes));
        assert!(matches!(verify(&"Corr3ct-Horse".into(), Some(&hash)), Verified::No));
        assert!(matches!(verify(password.secret(), None), Verified::No));
        assert!(matches!(verify(password.secret(), Some("no hash")), Verified::No));
    }

    #[test]
    fn common_passwords_and_those_made_of_the_user_are_refused_however_they_are_written() {
        for common in ["P@ssw0rd1", "Password1!", "Qwerty123!", "Summer2024!", "Welcome1!", "Iloveyou1!", "Abcd1234!"] {
            assert_eq!(strong(common).unwrap_err(), WeakPassword::Guessable, "{common}");
        }
        let own = StrongPassword::chosen("Ada@Lovelace.org1".into(), &["ada@lovelace.org", "Ada Lovelace"]);
        assert_eq!(own.unwrap_err(), WeakPassword::Guessable);
        let part = |known: &[&str]| StrongPassword::chosen("Quixotrel#2931".into(), known);
        assert_eq!(part(&["quixotrel@example.com"]).unwrap_err(), WeakPassword::Guessable);
        assert!(part(&["ada@example.com"]).is_ok());
        assert!(strong("Xk7-pLq2vT").is_ok());
    }

    #[test]
    fn a_hash_that_was_cheaper_is_replaced_when_its_password_comes_and_not_before() {
        let password = SecretString::from("Corr3ct-horse");
        let cheap = of_cost(Params::new(COST.m_cost() / 2, COST.t_cost(), 1, None).unwrap(), &password).unwrap();
        let dear = of_cost(Params::new(COST.m_cost(), COST.t_cost() + 1, 1, None).unwrap(), &password).unwrap();

        assert!(matches!(verify(&"Corr3ct-Horse".into(), Some(&cheap)), Verified::No));
        let Verified::Outdated(new) = verify(&password, Some(&cheap)) else { panic!("it is kept") };
        assert!(matches!(verify(&password, Some(&new)), Verified::Yes));
        assert!(matches!(verify(&password, Some(&dear)), Verified::Yes));
    }

    #[test]
    fn an_unknown_user_is_checked_against_a_hash_of_the_same_cost() {
        let hash = hash(&strong("Corr3ct-horse").unwrap()).unwrap();
        let cost = |hash: &str| hash.split('$').nth(3).map(str::to_owned);

        assert!(!is_outdated(&PasswordHash::new(NOBODY).unwrap()));
        assert_eq!(cost(NOBODY), cost(&hash));
    }
}
