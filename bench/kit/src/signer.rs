//! Tokens for many customers, without hashing their passwords first.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use shop_common::id::{SessionId, UserId};
use shop_common::users::signing_keys;
use sqlx::PgPool;

/// What the servers that are measured check tokens with.
pub const SECRET: &str = "0f9d2c7be8a1456394d7c0ab12ef5678";
/// How long a token lives: longer than any run.
pub const TOKEN_SECONDS: u64 = 6 * 3600;

/// What signs the customers' tokens.
pub struct Signer {
    header: Header,
    key: EncodingKey,
}

impl Signer {
    /// As the apis of the shop with that database sign.
    ///
    /// # Errors
    /// When the database refuses, or has no key.
    pub async fn of_shop(pool: &PgPool) -> anyhow::Result<Self> {
        let live = signing_keys::live(pool, Duration::from_secs(TOKEN_SECONDS)).await?;
        let kid = &live.last().context("the shop has no key")?.kid;
        let header = Header { kid: Some(kid.as_str().to_owned()), ..Header::new(Algorithm::HS256) };
        Ok(Self { header, key: EncodingKey::from_secret(&signing_keys::derive(&SECRET.into(), kid)) })
    }

    /// With the secret itself, as others do.
    pub fn plain() -> Self {
        Self { header: Header::new(Algorithm::HS256), key: EncodingKey::from_secret(SECRET.as_bytes()) }
    }

    /// A token as the shop issues them.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn token(&self, user: UserId) -> anyhow::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = json!({
            "sub": user,
            "email": format!("{user}@bench.example"),
            "role": "CLIENT",
            "sid": SessionId::new(),
            "gen": 0,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "iss": "shop",
            "aud": "shop",
        });
        jsonwebtoken::encode(&self.header, &claims, &self.key).context("signing a token")
    }
}
