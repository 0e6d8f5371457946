//! The keys that this api knows: which one signs tokens now, and which ones check them.
//!
//! They are read from the table each second (`look.rs`), and stay good while PostgreSQL is away. An api that meets a
//! key that it does not know asks for a look at once. It refuses the token only if it has looked so lately that it
//! would know the key if any api had signed with it (`LEAD`); else it cannot tell, and says that.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use jsonwebtoken::{DecodingKey, EncodingKey};
use secrecy::SecretString;
use shop_common::db;
use shop_common::users::signing_keys::{self, Kid, LEAD, LiveKey};
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::look::LOOK;
use crate::error::ApiError;

/// How long a request waits for a look that it asked for.
const ANSWER: Duration = Duration::from_secs(2);

/// The keys. Clones are the same.
#[derive(Clone)]
pub(crate) struct Keys(Arc<Inner>);

struct Inner {
    secret: SecretString,
    /// How long a token of these keys lives.
    lifetime: Duration,
    known: RwLock<Known>,
    /// Somebody has met a key that is not known.
    asked: Notify,
    /// A look has ended.
    looked: Notify,
}

#[derive(Default)]
struct Known {
    /// The newest first.
    keys: Vec<Key>,
    /// When the last look began, and the last one of those that the database answered.
    tried_at: Option<Instant>,
    looked_at: Option<Instant>,
}

#[derive(Clone)]
struct Key {
    kid: Kid,
    signing: EncodingKey,
    checking: DecodingKey,
    signs_at: Instant,
    /// Until when its tokens may live.
    until: Option<Instant>,
}

impl Keys {
    /// No keys yet; they are derived from that secret.
    pub(crate) fn new(secret: SecretString, lifetime: Duration) -> Self {
        let (known, asked, looked) = (RwLock::default(), Notify::new(), Notify::new());
        Self(Arc::new(Inner { secret, lifetime, known, asked, looked }))
    }

    /// The key that signs now, and its name. Before the first look nobody knows.
    pub(crate) fn signing(&self) -> Result<(Kid, EncodingKey), ApiError> {
        let (known, now) = (self.read(), Instant::now());
        let key = known.keys.iter().find(|key| key.signs_at <= now).ok_or(ApiError::Unavailable)?;
        Ok((key.kid.clone(), key.signing.clone()))
    }

    /// The key of that name, if its tokens may be good.
    pub(crate) async fn checking(&self, kid: &Kid) -> Result<DecodingKey, ApiError> {
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        let looked = self.0.looked.notified();
        if self.tried_within(LOOK) {
            return Err(self.unknown());
        }
        self.0.asked.notify_one();
        // Whether it has ended in time or not, what is known by now decides.
        let _ = timeout(ANSWER, looked).await;
        self.known(kid).ok_or_else(|| self.unknown())
    }

    /// Waits until a look is wanted.
    pub(super) async fn asked(&self) {
        self.0.asked.notified().await;
    }

    /// Looks at the table.
    pub(super) async fn look(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let began = Instant::now();
        self.write(|known| known.tried_at = Some(began));
        let (pool, lifetime) = (pool.clone(), self.0.lifetime);
        let found = db::bounded(async move { signing_keys::live(&pool, lifetime).await }).await;
        let found = found.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(|live| self.learn(live, began));
        self.0.looked.notify_waiters();
        found
    }

    /// Knows these keys from now on, and no others. When they sign counts from now, and until when they are good from when
    /// the look began: whatever the look took, this api is late to sign and early to forget, never the other way round.
    fn learn(&self, live: Vec<LiveKey>, began: Instant) {
        let now = Instant::now();
        let keys = live
            .into_iter()
            .map(|LiveKey { kid, signs_in, checks_for }| {
                let bytes = signing_keys::derive(&self.0.secret, &kid);
                Key {
                    kid,
                    signing: EncodingKey::from_secret(&bytes),
                    checking: DecodingKey::from_secret(&bytes),
                    signs_at: now + signs_in,
                    until: checks_for.map(|time| began + time),
                }
            })
            .collect();
        self.write(|known| {
            known.keys = keys;
            known.looked_at = Some(began);
        });
    }

    fn known(&self, kid: &Kid) -> Option<DecodingKey> {
        let (known, now) = (self.read(), Instant::now());
        let key = known.keys.iter().find(|key| key.kid == *kid)?;
        key.until.is_none_or(|until| until > now).then(|| key.checking.clone())
    }

    /// What to say of a key that is not known.
    fn unknown(&self) -> ApiError {
        let fresh = self.read().looked_at.is_some_and(|at| at.elapsed() < LEAD);
        if fresh { ApiError::TokenInvalid } else { ApiError::Unavailable }
    }

    fn tried_within(&self, time: Duration) -> bool {
        self.read().tried_at.is_some_and(|at| at.elapsed() < time)
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.0.known.write().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SECRET: &str = "0f9d2c7be8a1456394d7c0ab12ef5678";

    /// The table: names, the newest first, each with the seconds until it signs.
    fn table(keys: &[(&str, u64)]) -> Vec<LiveKey> {
        let key = |(kid, signs_in): &(&str, u64)| LiveKey {
            kid: kid.parse().unwrap(),
            signs_in: Duration::from_secs(*signs_in),
            checks_for: None,
        };
        keys.iter().map(key).collect()
    }

    /// Keys that were read from that table just now.
    pub(crate) fn keys(secret: &str, known: &[(&str, u64)]) -> Keys {
        let keys = Keys::new(secret.into(), Duration::from_secs(60));
        keys.learn(table(known), Instant::now());
        keys
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_checks_at_once_and_signs_when_its_time_has_come() {
        let keys = keys(SECRET, &[("00000000000000bb", 5), ("00000000000000aa", 0)]);
        let signs = || keys.signing().unwrap().0;

        assert!(keys.checking(&"00000000000000bb".parse().unwrap()).await.is_ok());
        assert_eq!(signs().as_str(), "00000000000000aa");
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(signs().as_str(), "00000000000000bb");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_key_is_refused_only_by_who_has_looked_lately() {
        let keys = keys(SECRET, &[("00000000000000aa", 0)]);
        let unknown = "00000000000000bb".parse().unwrap();

        assert!(matches!(keys.checking(&unknown).await, Err(ApiError::TokenInvalid)));
        tokio::time::advance(LEAD).await;
        assert!(matches!(keys.checking(&unknown).await, Err(ApiError::Unavailable)));
        assert!(keys.checking(&"00000000000000aa".parse().unwrap()).await.is_ok(), "what is known stays good");
    }

    #[tokio::test(start_paused = true)]
    async fn who_meets_an_unknown_key_asks_for_a_look_and_waits_for_it() {
        let keys = keys(SECRET, &[("00000000000000aa", 0)]);
        let unknown = "00000000000000bb".parse().unwrap();
        let waiting = tokio::spawn({
            let keys = keys.clone();
            async move { keys.checking(&unknown).await.is_ok() }
        });

        keys.asked().await;
        keys.learn(table(&[("00000000000000bb", 1), ("00000000000000aa", 0)]), Instant::now());
        keys.0.looked.notify_waiters();

        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn before_the_first_look_nothing_is_signed_and_nothing_is_refused() {
        let keys = Keys::new(SECRET.into(), Duration::from_secs(60));
        assert!(matches!(keys.signing(), Err(ApiError::Unavailable)));
        assert!(matches!(keys.checking(&"00000000000000aa".parse().unwrap()).await, Err(ApiError::Unavailable)));
    }
}
