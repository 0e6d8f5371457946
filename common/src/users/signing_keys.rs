//! Signing keys: which keys sign access tokens, and which are still good for checking them.
//!
//! The table has names and times only. The key itself is derived from the secret that the apis share and the
//! name ([`derive()`]), so that neither the database nor a backup of it holds anything that could sign a token.
//!
//! At most two keys are live: the one that signs, and the one before it (or after it, for a few seconds). A new key
//! signs only [`LEAD`] after it was written, and each api looks at the table more often than that: so each of them
//! can check what any of them signs, and a rotation refuses nobody.

use std::time::Duration;

use hmac::{Hmac, Mac};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::Sha256;
use sqlx::postgres::types::PgInterval;
use sqlx::{Connection, PgConnection, PgPool};

use crate::time::{self, Timestamp};

/// How long a new key is known before it signs. An api that has looked at the table within this time knows each key
/// that any api signs with.
pub const LEAD: Duration = Duration::from_secs(5);

/// How much longer than a token's lifetime the key before is kept: clocks differ, and an api may have signed a moment
/// late.
const GRACE: Duration = Duration::from_secs(60);

/// What separates these keys from all else that may be derived from the same secret.
const PURPOSE: &[u8] = b"shop access token ";

/// The name of a key, as it is in the header of each token that it signs. It is no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct Kid(String);

impl Kid {
    /// A name that no other key has.
    fn random() -> Self {
        let mut bytes = [0; 8];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is no name of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key's name has 16 digits of 0-9 and a-f")]
pub struct KidError;

impl std::str::FromStr for Kid {
    type Err = KidError;

    fn from_str(text: &str) -> Result<Self, KidError> {
        let good = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if good { Ok(Self(text.to_owned())) } else { Err(KidError) }
    }
}

impl std::fmt::Display for Kid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of that name: HMAC-SHA256 of its purpose and name, under the secret.
pub fn derive(secret: &SecretString, kid: &Kid) -> [u8; 32] {
    // HMAC takes keys of any length; what this returns on an error is never reached.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return [0; 32] };
    mac.update(PURPOSE);
    mac.update(kid.as_str().as_bytes());
    mac.finalize().into_bytes().into()
}

/// What a key is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Known, but signs only in a few seconds.
    Upcoming,
    /// Signs, and checks what it has signed.
    Signs,
    /// Only checks what it has signed before.
    Checks,
    /// Nothing that it has signed is good any more.
    Retired,
}

/// A key, as the table has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningKey {
    /// Its name.
    pub kid: Kid,
    /// When it was made.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// From when on it signs.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub signs_from: Timestamp,
    /// When it was retired.
    #[serde(serialize_with = "time::optional_millis")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub retired_at: Option<Timestamp>,
    /// When the next key took over, or will.
    #[serde(serialize_with = "time::optional_millis")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub replaced_at: Option<Timestamp>,
    /// By the clock of the database, when the table was read.
    #[serde(skip)]
    now: Timestamp,
}

impl SigningKey {
    /// What the key is there for, where tokens live for so long.
    pub fn state(&self, lifetime: Duration) -> KeyState {
        let ended = self.checks_until(lifetime).is_some_and(|until| until <= self.now);
        match self.replaced_at {
            _ if self.retired_at.is_some() || ended => KeyState::Retired,
            _ if self.signs_from > self.now => KeyState::Upcoming,
            Some(replaced) if replaced <= self.now => KeyState::Checks,
            _ => KeyState::Signs,
        }
    }

    /// Until when tokens of this key may live. `None` while no other key is to take over.
    pub fn checks_until(&self, lifetime: Duration) -> Option<Timestamp> {
        self.replaced_at.map(|replaced| replaced + lifetime + GRACE)
    }
}

/// A key as the apis have to know it. Times count from when the table was read, by the database's own clock.
#[derive(Debug, Clone)]
pub struct LiveKey {
    /// Its name.
    pub kid: Kid,
    /// How long it will be until it signs; nothing if it does already.
    pub signs_in: Duration,
    /// How much longer its tokens may live. `None` while no other key is to take over.
    pub checks_for: Option<Duration>,
}

/// The keys whose tokens may live, where these live for so long; the newest first.
///
/// # Errors
/// When the database refuses.
pub async fn live(pool: &PgPool, lifetime: Duration) -> Result<Vec<LiveKey>, sqlx::Error> {
    let ahead = |key: &SigningKey, time: Timestamp| (time - key.now).to_std().unwrap_or_default();
    let keys = list(pool).await?;
    let live = keys.iter().filter(|key| key.state(lifetime) != KeyState::Retired).map(|key| LiveKey {
        kid: key.kid.clone(),
        signs_in: ahead(key, key.signs_from),
        checks_for: key.checks_until(lifetime).map(|until| ahead(key, until)),
    });
    Ok(live.collect())
}

/// All keys, the newest first.
///
/// # Errors
/// When the database refuses.
pub async fn list(pool: &PgPool) -> Result<Vec<SigningKey>, sqlx::Error> {
    read(&mut *pool.acquire().await?).await
}

/// Only a key that was replaced can be retired, so each was replaced by the one after it.
async fn read(connection: &mut PgConnection) -> Result<Vec<SigningKey>, sqlx::Error> {
    sqlx::query_as(
        "SELECT kid, created_at, signs_from, retired_at, clock_timestamp() AS now,
                lead(signs_from) OVER (ORDER BY signs_from) AS replaced_at
         FROM signing_keys ORDER BY signs_from DESC",
    )
    .fetch_all(connection)
    .await
}

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// Two keys are live, and tokens of the older one may still be in use.
    #[error("key {older} may still have living tokens until {until}")]
    TooSoon {
        /// The key before the one that signs.
        older: Kid,
        /// Until when its tokens may live.
        until: Timestamp,
        /// Whether it still signs, so that it cannot be retired.
        signs: bool,
    },
    /// The database refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Makes a key that signs [`LEAD`] from now on, and retires the one whose last tokens have expired.
///
/// # Errors
/// See [`RotateError`].
pub async fn rotate(pool: &PgPool, lifetime: Duration) -> Result<SigningKey, RotateError> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    lock(&mut transaction).await?;
    for key in read(&mut transaction).await? {
        let Some(until) = key.checks_until(lifetime).filter(|_| key.retired_at.is_none()) else { continue };
        match key.state(lifetime) {
            KeyState::Retired => {
                sqlx::query("UPDATE signing_keys SET retired_at = now() WHERE kid = $1")
                    .bind(&key.kid)
                    .execute(&mut *transaction)
                    .await?;
            }
            state => return Err(RotateError::TooSoon { older: key.kid, until, signs: state != KeyState::Checks }),
        }
    }
    // Of the clock and not of the transaction, which may have waited for another one.
    sqlx::query("INSERT INTO signing_keys (kid, signs_from) VALUES ($1, clock_timestamp() + $2)")
        .bind(Kid::random())
        .bind(PgInterval { months: 0, days: 0, microseconds: LEAD.as_micros() as i64 })
        .execute(&mut *transaction)
        .await?;
    let newest = read(&mut transaction).await?.into_iter().next().ok_or(sqlx::Error::RowNotFound)?;
    transaction.commit().await?;
    Ok(newest)
}

/// Why a key was not retired.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// There is none of that name.
    #[error("there is no key {0}")]
    NotFound(Kid),
    /// Tokens are signed with it, or will be in a moment.
    #[error("key {0} signs tokens, or will in a moment")]
    Signs(Kid),
    /// The database refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Retires a key: what it has signed is refused from the next look of each api on. One that is retired already is
/// given as it is.
///
/// # Errors
/// See [`RetireError`].
pub async fn retire(pool: &PgPool, kid: &Kid) -> Result<SigningKey, RetireError> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    lock(&mut transaction).await?;
    let find = async |connection: &mut PgConnection| {
        let found = read(connection).await?.into_iter().find(|key| key.kid == *kid);
        found.ok_or_else(|| RetireError::NotFound(kid.clone()))
    };
    let key = find(&mut transaction).await?;
    if key.retired_at.is_some() {
        return Ok(key);
    }
    if key.replaced_at.is_none_or(|replaced| replaced > key.now) {
        return Err(RetireError::Signs(kid.clone()));
    }
    sqlx::query("UPDATE signing_keys SET retired_at = now() WHERE kid = $1")
        .bind(kid)
        .execute(&mut *transaction)
        .await?;
    let key = find(&mut transaction).await?;
    transaction.commit().await?;
    Ok(key)
}

/// Two who change the keys are one after the other. Readers do not wait.
async fn lock(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE").execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(900);

    fn key(signs_from: i64, replaced_at: Option<i64>, retired: bool) -> SigningKey {
        let now = Timestamp::UNIX_EPOCH;
        let at = |seconds| now + TimeDelta::seconds(seconds);
        SigningKey {
            kid: Kid::random(),
            created_at: now,
            signs_from: at(signs_from),
            retired_at: retired.then_some(now),
            replaced_at: replaced_at.map(at),
            now,
        }
    }

    #[test]
    fn a_key_signs_then_checks_for_a_lifetime_and_then_is_good_for_nothing() {
        for (key, state) in [
            (key(5, None, false), KeyState::Upcoming),
            (key(0, None, false), KeyState::Signs),
            (key(-10, Some(5), false), KeyState::Signs),
            (key(-10, Some(0), false), KeyState::Checks),
            (key(-1000, Some(-959), false), KeyState::Checks),
            (key(-1000, Some(-960), false), KeyState::Retired),
            (key(-10, Some(-5), true), KeyState::Retired),
        ] {
            assert_eq!(key.state(LIFETIME), state, "{key:?}");
        }
    }

    #[test]
    fn a_key_hangs_on_the_secret_and_on_its_name_and_is_the_same_each_time() {
        let (secret, other) = (SecretString::from("secret"), SecretString::from("other"));
        let (one, two) = (Kid::random(), Kid::random());

        assert_eq!(derive(&secret, &one), derive(&secret, &one));
        assert_ne!(derive(&secret, &one), derive(&secret, &two));
        assert_ne!(derive(&secret, &one), derive(&other, &one));
    }

    #[test]
    fn a_name_has_sixteen_digits() {
        assert_eq!("0123456789abcdef".parse::<Kid>().unwrap().as_str(), "0123456789abcdef");
        for bad in ["", "0123456789ABCDEF", "0123456789abcde", "0123456789abcdef0", "../../etc/passwd"] {
            assert_eq!(bad.parse::<Kid>(), Err(KidError), "{bad}");
        }
    }
}
