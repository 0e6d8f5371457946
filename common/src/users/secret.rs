//! Secrets that the shop hands out: random texts of which only digests are kept.

use std::collections::HashSet;

use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// A secret of 256 random bits, or what somebody shows for one. It does not show in logs.
#[derive(Debug, Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// A new one, which nobody can guess.
    pub(crate) fn random() -> Self {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
    }

    /// What is kept of it. It is not salted and not slow on purpose: nobody guesses 256 random bits.
    pub(crate) fn digest(&self) -> Vec<u8> {
        Sha256::digest(self.0.expose_secret()).to_vec()
    }

    /// The text, to be handed out.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// RFC 7518, 3.2: a key of the size of the hash or larger.
const MIN_KEY_BYTES: usize = 32;

/// Fewer different bytes than this were typed, not drawn.
const MIN_DIFFERENT_BYTES: usize = 10;

/// Whether a key is too short, or too plain, to sign tokens with. No api starts with such a one.
pub fn is_weak_key(secret: &SecretString) -> bool {
    let bytes = secret.expose_secret().as_bytes();
    let different = bytes.iter().collect::<HashSet<_>>().len();
    bytes.len() < MIN_KEY_BYTES || different < MIN_DIFFERENT_BYTES
}

/// What somebody shows for one.
impl From<SecretString> for Secret {
    fn from(text: SecretString) -> Self {
        Self(text)
    }
}
