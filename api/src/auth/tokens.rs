//! Access tokens: JWT, HS256 and nothing else, each with the name of its key.

use chrono::{DateTime, Utc};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use shop_common::config;
use shop_common::id::{SessionId, UserId};
use shop_common::time::Timestamp;
use shop_common::users::secret::is_weak_key;
use shop_common::users::sessions::Lifetimes;
use shop_common::users::signing_keys::Kid;
use shop_common::users::tickets::Holder;
use shop_common::users::{Identity, Role};

use super::keys::Keys;
use crate::error::ApiError;

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
struct Claims {
    sub: UserId,
    email: String,
    role: Role,
    sid: SessionId,
    /// The user's generation.
    r#gen: i32,
    iat: i64,
    exp: i64,
    iss: String,
    aud: String,
}

/// What a good token stands for.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) role: Role,
    pub(crate) holder: Holder,
}

/// A token, and for how many seconds it is good.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) token: String,
    pub(crate) seconds: i64,
}

/// Signs and checks tokens.
#[derive(Clone)]
pub(crate) struct Tokens {
    keys: Keys,
    validation: Validation,
    issuer: String,
    audience: String,
    seconds: i64,
    lifetimes: Lifetimes,
}

/// What signs a token that is about to be issued: who changes anything for it in the database first can be sure of it.
pub(crate) struct Signer<'t> {
    tokens: &'t Tokens,
    kid: Kid,
    key: EncodingKey,
}

impl Tokens {
    pub(crate) fn new(settings: &config::Auth) -> Result<Self, TokenError> {
        let secret = settings.jwt_secret.as_ref().ok_or(TokenError::NoSecret)?;
        if is_weak_key(secret) {
            return Err(TokenError::WeakSecret);
        }
        Ok(Self::with_keys(settings, Keys::new(secret.clone(), settings.token_lifetime())))
    }

    fn with_keys(settings: &config::Auth, keys: Keys) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = 0;
        Self {
            keys,
            validation,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            seconds: i64::try_from(settings.token_seconds).unwrap_or(i64::MAX),
            lifetimes: Lifetimes::of(settings),
        }
    }

    /// How long the sessions live that tokens are issued for.
    pub(crate) fn lifetimes(&self) -> &Lifetimes {
        &self.lifetimes
    }

    /// The keys that sign and check.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What signs now.
    pub(crate) fn signer(&self) -> Result<Signer<'_>, ApiError> {
        let (kid, key) = self.keys.signing()?;
        Ok(Signer { tokens: self, kid, key })
    }

    /// What a token stands for, if it is good.
    pub(crate) async fn check(&self, token: &str) -> Result<Granted, ApiError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| ApiError::TokenInvalid)?;
        // Whoever needs us to understand something (RFC 7515, 4.1.11) is not understood.
        if header.crit.is_some() {
            return Err(ApiError::TokenInvalid);
        }
        let kid = header.kid.and_then(|kid| kid.parse().ok()).ok_or(ApiError::TokenInvalid)?;
        let key = self.keys.checking(&kid).await?;
        let claims =
            jsonwebtoken::decode::<Claims>(token, &key, &self.validation).map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => ApiError::TokenExpired,
                _ => ApiError::TokenInvalid,
            })?;
        let Claims { sub, sid, role, r#gen, iat, exp, .. } = claims.claims;
        // Whatever a token says of itself: what was revoked, and which keys were there, is remembered for so long only.
        let ends = exp.min(iat.saturating_add(self.seconds));
        let token_expires_at = DateTime::from_timestamp_secs(ends).unwrap_or(DateTime::UNIX_EPOCH);
        if token_expires_at <= Utc::now() {
            return Err(ApiError::TokenExpired);
        }
        Ok(Granted {
            role,
            holder: Holder { user_id: sub, session_id: sid, token_generation: r#gen, token_expires_at },
        })
    }
}

impl Signer<'_> {
    /// Signs a token for that session. It does not outlive it.
    pub(crate) fn issue(
        &self,
        identity: &Identity,
        session: SessionId,
        session_ends: Timestamp,
    ) -> Result<Issued, ApiError> {
        let iat = Utc::now().timestamp();
        let exp = iat.saturating_add(self.tokens.seconds).min(session_ends.timestamp());
        let claims = Claims {
            sub: identity.id,
            email: identity.email.as_str().to_owned(),
            role: identity.role,
            sid: session,
            r#gen: identity.token_generation,
            iat,
            exp,
            iss: self.tokens.issuer.clone(),
            aud: self.tokens.audience.clone(),
        };
        let header = Header { kid: Some(self.kid.as_str().to_owned()), ..Header::new(Algorithm::HS256) };
        let token =
            jsonwebtoken::encode(&header, &claims, &self.key).map_err(|error| ApiError::Internal(error.to_string()))?;
        Ok(Issued { token, seconds: exp.saturating_sub(iat) })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use chrono::TimeDelta;
    use serde_json::{Value, json};
    use shop_common::users::signing_keys;

    use super::super::keys::tests::keys;
    use super::*;

    const SECRET: &str = "0f9d2c7be8a1456394d7c0ab12ef5678";
    const KID: &str = "00000000000000aa";
    const OTHER: &str = "00000000000000bb";

    fn settings(secret: Option<&str>) -> config::Auth {
        config::Auth {
            jwt_secret: secret.map(Into::into),
            issuer: "shop".to_owned(),
            audience: "shop".to_owned(),
            token_seconds: 60,
            refresh_seconds: 600,
            session_seconds: 6000,
            hash_threads: 1,
            hash_queue: 1,
        }
    }

    fn tokens() -> Tokens {
        Tokens::with_keys(&settings(None), keys(SECRET, &[(KID, 0)]))
    }

    fn ada() -> Identity {
        Identity {
            id: UserId::new(),
            email: "ada@example.com".parse().unwrap(),
            role: Role::Client,
            token_generation: 3,
        }
    }

    fn issue(tokens: &Tokens) -> String {
        let ends = Utc::now() + TimeDelta::seconds(6000);
        tokens.signer().unwrap().issue(&ada(), SessionId::new(), ends).unwrap().token
    }

    /// The claims of a good token.
    fn claims() -> Claims {
        let (now, ada) = (Utc::now().timestamp(), ada());
        Claims {
            sub: ada.id,
            email: "ada@example.com".to_owned(),
            role: Role::Admin,
            sid: SessionId::new(),
            r#gen: 0,
            iat: now,
            exp: now + 60,
            iss: "shop".to_owned(),
            aud: "shop".to_owned(),
        }
    }

    fn header(kid: &str) -> Header {
        Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) }
    }

    /// Signed with the very key of that name.
    fn signed(header: &Header, claims: &impl Serialize, secret: &str, kid: &str) -> String {
        let key = signing_keys::derive(&secret.into(), &kid.parse().unwrap());
        jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(&key)).unwrap()
    }

    async fn refused(tokens: &Tokens, token: &str) -> &'static str {
        tokens.check(token).await.expect_err("it is not refused").code()
    }

    #[tokio::test]
    async fn a_token_says_who_it_was_issued_to_and_ends_with_its_session_at_the_latest() {
        let (tokens, ada, session) = (tokens(), ada(), SessionId::new());
        let signer = tokens.signer().unwrap();

        let issued = signer.issue(&ada, session, Utc::now() + TimeDelta::seconds(6000)).unwrap();
        let granted = tokens.check(&issued.token).await.unwrap();

        assert_eq!((granted.holder.user_id, granted.role, issued.seconds), (ada.id, Role::Client, 60));
        assert_eq!((granted.holder.session_id, granted.holder.token_generation), (session, 3));
        assert_eq!(jsonwebtoken::decode_header(&issued.token).unwrap().kid.as_deref(), Some(KID));
        let last = signer.issue(&ada, session, Utc::now() + TimeDelta::seconds(10)).unwrap();
        assert!(last.seconds <= 10);
    }

    #[test]
    fn a_missing_or_weak_secret_is_refused() {
        assert_eq!(Tokens::new(&settings(None)).err(), Some(TokenError::NoSecret));
        assert_eq!(Tokens::new(&settings(Some("changeme"))).err(), Some(TokenError::WeakSecret));
        assert_eq!(Tokens::new(&settings(Some(&"secret".repeat(10)))).err(), Some(TokenError::WeakSecret));
    }

    #[tokio::test]
    async fn a_forged_token_is_what_the_others_are_measured_by() {
        let token = signed(&header(KID), &claims(), SECRET, KID);
        assert_eq!(tokens().check(&token).await.unwrap().role, Role::Admin);
    }

    #[tokio::test]
    async fn an_unsigned_token_is_refused() {
        let encode = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let claims = encode(serde_json::to_value(claims()).unwrap());
        for alg in ["none", "None", "NONE", "nOnE", ""] {
            let head = encode(json!({ "alg": alg, "typ": "JWT", "kid": KID }));
            assert_eq!(refused(&tokens(), &format!("{head}.{claims}.")).await, "token_invalid");
        }
        let good = signed(&header(KID), &self::claims(), SECRET, KID);
        let (unsigned, _) = good.rsplit_once('.').unwrap();
        assert_eq!(refused(&tokens(), &format!("{unsigned}.")).await, "token_invalid");
        assert_eq!(refused(&tokens(), unsigned).await, "token_invalid");
        assert_eq!(refused(&tokens(), "not.a.token").await, "token_invalid");
    }

    #[tokio::test]
    async fn a_token_of_another_algorithm_is_refused_though_the_key_is_right() {
        for algorithm in [Algorithm::HS384, Algorithm::HS512] {
            let token = signed(&Header { alg: algorithm, ..header(KID) }, &claims(), SECRET, KID);
            assert_eq!(refused(&tokens(), &token).await, "token_invalid");
        }
        // The header says RS256, the signature is of HMAC: the confusion of a public key with a secret.
        let good = signed(&header(KID), &claims(), SECRET, KID);
        let rest = good.split_once('.').unwrap().1;
        let head = URL_SAFE_NO_PAD.encode(json!({ "alg": "RS256", "typ": "JWT", "kid": KID }).to_string());
        assert_eq!(refused(&tokens(), &format!("{head}.{rest}")).await, "token_invalid");
    }

    #[tokio::test]
    async fn a_token_without_a_key_of_a_wrong_one_or_of_a_retired_one_is_refused() {
        for kid in [OTHER, "", "../../../dev/null", "' OR '1'='1"] {
            let token = signed(&header(kid), &claims(), SECRET, KID);
            assert_eq!(refused(&tokens(), &token).await, "token_invalid", "{kid}");
        }
        let two = Tokens::with_keys(&settings(None), keys(SECRET, &[(OTHER, 0), (KID, 0)]));
        let swapped = signed(&header(OTHER), &claims(), SECRET, KID);
        assert_eq!(refused(&two, &swapped).await, "token_invalid");
        let retired = signed(&header(OTHER), &claims(), SECRET, OTHER);
        assert!(two.check(&retired).await.is_ok());
        assert_eq!(refused(&tokens(), &retired).await, "token_invalid");
        let of_an_earlier_release = jsonwebtoken::encode(
            &Header::new(Algorithm::HS256),
            &claims(),
            &EncodingKey::from_secret(SECRET.as_bytes()),
        );
        assert_eq!(refused(&tokens(), &of_an_earlier_release.unwrap()).await, "token_invalid");
    }

    #[tokio::test]
    async fn a_token_of_another_secret_or_for_others_is_refused() {
        let foreign = signed(&header(KID), &claims(), "another-secret-of-32-bytes-0123456789", KID);
        assert_eq!(refused(&tokens(), &foreign).await, "token_invalid");
        for claims in [Claims { aud: "other".to_owned(), ..claims() }, Claims { iss: "other".to_owned(), ..claims() }] {
            assert_eq!(refused(&tokens(), &signed(&header(KID), &claims, SECRET, KID)).await, "token_invalid");
        }
        for missing in ["sub", "aud", "iss", "exp", "iat", "sid", "gen", "role"] {
            let mut claims = serde_json::to_value(claims()).unwrap();
            claims.as_object_mut().unwrap().remove(missing);
            assert_eq!(refused(&tokens(), &signed(&header(KID), &claims, SECRET, KID)).await, "token_invalid");
        }
    }

    #[tokio::test]
    async fn a_token_that_was_changed_or_needs_to_be_understood_is_refused() {
        let token = issue(&tokens());
        let (head, rest) = token.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let admin = URL_SAFE_NO_PAD.encode(serde_json::to_string(&claims()).unwrap());
        assert_eq!(refused(&tokens(), &format!("{head}.{admin}.{signature}")).await, "token_invalid");
        let critical = Header { crit: Some(vec!["exp".to_owned()]), ..header(KID) };
        assert_eq!(refused(&tokens(), &signed(&critical, &claims(), SECRET, KID)).await, "token_invalid");
    }

    #[tokio::test]
    async fn a_token_has_expired_when_it_says_so_and_when_it_is_older_than_tokens_get() {
        let now = Utc::now().timestamp();
        for old in [
            Claims { iat: now - 61, exp: now - 1, ..claims() },
            Claims { iat: now - 61, exp: now + 1_000_000, ..claims() },
        ] {
            assert_eq!(refused(&tokens(), &signed(&header(KID), &old, SECRET, KID)).await, "token_expired");
        }
    }
}
