//! Access tokens: JWT, HS256 and nothing else.

use chrono::{DateTime, Utc};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use shop_common::config;
use shop_common::id::UserId;
use shop_common::users::tickets::Holder;
use shop_common::users::{Identity, Role};

use crate::error::ApiError;

/// RFC 7518, 3.2: a key of the size of the hash or larger.
const MIN_SECRET_BYTES: usize = 32;
/// Fewer different bytes than this were typed, not drawn.
const MIN_DIFFERENT_BYTES: usize = 10;

/// Why tokens cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// No secret.
    #[error(
        "JWT_SECRET is not set; set it (or JWT_SECRET_FILE) to 32 random bytes or more, for example of `openssl rand -base64 48`"
    )]
    NoSecret,
    /// A secret that can be guessed.
    #[error("JWT_SECRET is weak; set it to 32 random bytes or more, for example of `openssl rand -base64 48`")]
    WeakSecret,
}

/// What a token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) sub: UserId,
    pub(crate) email: String,
    pub(crate) role: Role,
    /// The user's generation; tokens of before there were any have none.
    #[serde(default)]
    r#gen: i32,
    iat: i64,
    exp: i64,
    iss: String,
    aud: String,
}

impl Claims {
    /// What the token stands for.
    pub(crate) fn holder(&self) -> Holder {
        let token_expires_at = DateTime::from_timestamp_secs(self.exp).unwrap_or(DateTime::UNIX_EPOCH);
        Holder { user_id: self.sub, token_generation: self.r#gen, token_expires_at }
    }
}

/// Signs and checks tokens.
#[derive(Clone)]
pub(crate) struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    issuer: String,
    audience: String,
    seconds: i64,
}

impl Tokens {
    pub(crate) fn new(settings: &config::Auth) -> Result<Self, TokenError> {
        let secret = settings.jwt_secret.as_ref().ok_or(TokenError::NoSecret)?.expose_secret().as_bytes();
        let different = secret.iter().collect::<std::collections::HashSet<_>>().len();
        if secret.len() < MIN_SECRET_BYTES || different < MIN_DIFFERENT_BYTES {
            return Err(TokenError::WeakSecret);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = 0;
        Ok(Self {
            signing: EncodingKey::from_secret(secret),
            checking: DecodingKey::from_secret(secret),
            validation,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            seconds: i64::try_from(settings.token_seconds).unwrap_or(i64::MAX),
        })
    }

    pub(crate) fn issue(&self, identity: &Identity) -> Result<String, ApiError> {
        let iat = Utc::now().timestamp();
        let claims = Claims {
            sub: identity.id,
            email: identity.email.as_str().to_owned(),
            role: identity.role,
            r#gen: identity.token_generation,
            iat,
            exp: iat.saturating_add(self.seconds),
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
            .map_err(|error| ApiError::Internal(error.to_string()))
    }

    pub(crate) fn check(&self, token: &str) -> Result<Claims, ApiError> {
        jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation).map(|token| token.claims).map_err(
            |error| match error.kind() {
                ErrorKind::ExpiredSignature => ApiError::TokenExpired,
                _ => ApiError::TokenInvalid,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0f9d2c7be8a1456394d7c0ab12ef5678";

    fn settings(secret: Option<&str>) -> config::Auth {
        config::Auth {
            jwt_secret: secret.map(Into::into),
            issuer: "shop".to_owned(),
            audience: "shop".to_owned(),
            token_seconds: 60,
            hash_threads: 1,
            hash_queue: 1,
        }
    }

    fn ada() -> Identity {
        Identity {
            id: UserId::new(),
            email: "ada@example.com".parse().unwrap(),
            role: Role::Client,
            token_generation: 3,
        }
    }

    #[test]
    fn a_token_says_who_it_was_issued_to() {
        let tokens = Tokens::new(&settings(Some(SECRET))).unwrap();
        let ada = ada();

        let claims = tokens.check(&tokens.issue(&ada).unwrap()).unwrap();

        assert_eq!((claims.sub, claims.role), (ada.id, Role::Client));
        assert_eq!(claims.exp - claims.iat, 60);
        assert_eq!(claims.holder().token_generation, 3);
        assert_eq!(claims.holder().token_expires_at.timestamp(), claims.exp);
    }

    #[test]
    fn a_missing_or_weak_secret_is_refused() {
        assert_eq!(Tokens::new(&settings(None)).err(), Some(TokenError::NoSecret));
        assert_eq!(Tokens::new(&settings(Some("changeme"))).err(), Some(TokenError::WeakSecret));
        assert_eq!(Tokens::new(&settings(Some(&"secret".repeat(10)))).err(), Some(TokenError::WeakSecret));
    }

    #[test]
    fn a_token_for_others_expired_unsigned_or_signed_otherwise_is_refused() {
        let tokens = Tokens::new(&settings(Some(SECRET))).unwrap();
        let foreign = |change: fn(&mut config::Auth)| {
            let mut settings = settings(Some(SECRET));
            change(&mut settings);
            Tokens::new(&settings).unwrap().issue(&ada()).unwrap()
        };

        assert!(matches!(tokens.check(&foreign(|s| s.audience = "other".to_owned())), Err(ApiError::TokenInvalid)));
        assert!(matches!(tokens.check(&foreign(|s| s.issuer = "other".to_owned())), Err(ApiError::TokenInvalid)));
        assert!(matches!(
            tokens.check(&foreign(|s| s.jwt_secret = Some("another-secret-of-32-bytes-0123456789".into()))),
            Err(ApiError::TokenInvalid)
        ));
        assert!(matches!(tokens.check("not.a.token"), Err(ApiError::TokenInvalid)));

        let claims = tokens.check(&tokens.issue(&ada()).unwrap()).unwrap();
        let signed = |algorithm, claims: &Claims| {
            jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
        };
        assert!(matches!(tokens.check(&signed(Algorithm::HS512, &claims)), Err(ApiError::TokenInvalid)));
        let old = Claims { exp: claims.iat - 1, ..claims };
        assert!(matches!(tokens.check(&signed(Algorithm::HS256, &old)), Err(ApiError::TokenExpired)));
    }
}
