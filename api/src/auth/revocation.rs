//! Revoked tokens: which of them do not count any more, although they have not expired.
//!
//! A token names its session, and the generation that its user was in. Every api looks each second (`look.rs`) which
//! sessions have ended and whose generation has moved, wakes their sockets, and keeps that in memory for as long as
//! a token lives.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use shop_common::db;
use shop_common::id::{SessionId, UserId};
use shop_common::users::queries::{self, Revoked};
use shop_common::users::sessions::{self, RevokedSession};
use shop_common::users::tickets::Holder;
use sqlx::PgPool;
use tokio::time::Instant;

use crate::error::ApiError;
use crate::realtime::hub::Hub;

/// A look goes back so much further than the one before, for what was written before it and committed after it. And
/// what is known is kept for so much longer than a token lives, since clocks differ.
const OVERLAP: Duration = Duration::from_secs(60);

/// What was revoked not long ago. Clones are the same.
#[derive(Clone)]
pub(crate) struct Revocations {
    seen: Arc<RwLock<Seen>>,
    hub: Hub,
    /// How long a token lives.
    lifetime: Duration,
}

#[derive(Default)]
struct Seen {
    /// The generations of users, and when it was noticed that they have moved.
    generations: HashMap<UserId, (i32, Instant)>,
    sessions: HashMap<SessionId, Instant>,
    /// When the last look began that the database has answered. None before the first one.
    looked_at: Option<Instant>,
}

impl Revocations {
    /// Nothing is known yet; tokens live for so long, and what they have opened is in that hub.
    pub(crate) fn new(lifetime: Duration, hub: Hub) -> Self {
        Self { seen: Arc::default(), hub, lifetime }
    }

    /// Whether a request with that token may go on. Before the first look nobody knows.
    pub(crate) fn check(&self, holder: &Holder) -> Result<(), ApiError> {
        if self.read().looked_at.is_none() {
            return Err(ApiError::Unavailable);
        }
        if self.revoked(holder) { Err(ApiError::TokenRevoked) } else { Ok(()) }
    }

    /// Whether a token is known to be revoked.
    pub(crate) fn revoked(&self, holder: &Holder) -> bool {
        let seen = self.read();
        seen.sessions.contains_key(&holder.session_id)
            || seen.generations.get(&holder.user_id).is_some_and(|(current, _)| holder.token_generation < *current)
    }

    /// Notes what this api has revoked itself, which need not wait for the next look.
    pub(crate) fn note_session(&self, user: UserId, session: SessionId) {
        self.write(|seen| seen.note_session(session));
        self.hub.wake([user]);
    }

    /// The same for all tokens of a user before that generation.
    pub(crate) fn note_user(&self, user: UserId, generation: i32) {
        self.write(|seen| seen.note_user(user, generation));
        self.hub.wake([user]);
    }

    /// Looks at the tables, and wakes the sockets of the users of whose tokens some were revoked since the last look.
    pub(super) async fn look(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let began = Instant::now();
        let longest = self.lifetime + OVERLAP;
        // Only how long ago it was: the database's clock need not be this one.
        let window = self.read().looked_at.map_or(longest, |at| longest.min(began - at + OVERLAP));
        let pool = pool.clone();
        let found = db::bounded(async move {
            let users = queries::revoked_within(&pool, window).await?;
            Ok((users, sessions::revoked_within(&pool, window).await?))
        });
        let (users, sessions) = found.await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
        let moved = self.write(|seen| {
            seen.looked_at = Some(began);
            seen.forget(longest);
            seen.learn(users, sessions)
        });
        self.hub.wake(moved);
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Seen> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        change(&mut self.seen.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Seen {
    /// Keeps what is new, and gives whose it is.
    fn learn(&mut self, users: Vec<Revoked>, sessions: Vec<RevokedSession>) -> Vec<UserId> {
        let mut moved = Vec::new();
        for Revoked { id, token_generation } in users {
            if self.note_user(id, token_generation) {
                moved.push(id);
            }
        }
        for RevokedSession { id, user_id } in sessions {
            if self.note_session(id) {
                moved.push(user_id);
            }
        }
        moved
    }

    /// Whether that is new.
    fn note_user(&mut self, user: UserId, generation: i32) -> bool {
        let known = self.generations.entry(user).or_insert((0, Instant::now()));
        let moved = generation > known.0;
        if moved {
            *known = (generation, Instant::now());
        }
        moved
    }

    /// Whether that is new.
    fn note_session(&mut self, session: SessionId) -> bool {
        match self.sessions.entry(session) {
            Entry::Vacant(vacant) => {
                vacant.insert(Instant::now());
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Forgets what was noticed longer ago than that: the tokens that it was about have expired.
    fn forget(&mut self, age: Duration) {
        self.generations.retain(|_, (_, noticed)| noticed.elapsed() < age);
        self.sessions.retain(|_, noticed| noticed.elapsed() < age);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_revoked_is_new_once_and_forgotten_when_its_tokens_have_expired() {
        let mut seen = Seen::default();
        let (ada, bob, session) = (UserId::new(), UserId::new(), SessionId::new());
        let found = || {
            let users = vec![Revoked { id: ada, token_generation: 1 }];
            (users, vec![RevokedSession { id: session, user_id: bob }])
        };

        let (users, sessions) = found();
        assert_eq!(seen.learn(users, sessions), [ada, bob]);
        let (users, sessions) = found();
        assert!(seen.learn(users, sessions).is_empty());

        tokio::time::advance(Duration::from_secs(59)).await;
        seen.forget(Duration::from_secs(60));
        assert_eq!((seen.generations.len(), seen.sessions.len()), (1, 1));
        tokio::time::advance(Duration::from_secs(1)).await;
        seen.forget(Duration::from_secs(60));
        assert_eq!((seen.generations.len(), seen.sessions.len()), (0, 0));
    }

    #[tokio::test]
    async fn a_token_counts_unless_its_session_has_ended_or_its_generation_is_over() {
        let revocations = Revocations::new(Duration::from_secs(60), Hub::new(20));
        let holder = Holder {
            user_id: UserId::new(),
            session_id: SessionId::new(),
            token_generation: 1,
            token_expires_at: chrono::Utc::now(),
        };
        assert!(matches!(revocations.check(&holder), Err(ApiError::Unavailable)), "nobody has looked");
        revocations.write(|seen| seen.looked_at = Some(Instant::now()));

        revocations.note_user(holder.user_id, 1);
        revocations.note_session(holder.user_id, SessionId::new());
        assert!(revocations.check(&holder).is_ok());
        revocations.note_session(holder.user_id, holder.session_id);
        assert!(matches!(revocations.check(&holder), Err(ApiError::TokenRevoked)));

        let other = Holder { session_id: SessionId::new(), ..holder };
        assert!(revocations.check(&other).is_ok());
        revocations.note_user(holder.user_id, 2);
        assert!(matches!(revocations.check(&other), Err(ApiError::TokenRevoked)));
    }
}
