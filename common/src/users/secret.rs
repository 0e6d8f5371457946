//! Secrets that the shop hands out: random texts of which only digests are kept.

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

/// What somebody shows for one.
impl From<SecretString> for Secret {
    fn from(text: SecretString) -> Self {
        Self(text)
    }
}
