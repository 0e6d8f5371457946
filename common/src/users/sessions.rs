//! Sessions: how somebody stays logged in, with access tokens that live for minutes only.
//!
//! A login begins a session and gives a refresh token. That is good once: it gets the next access token, and the next
//! refresh token. When one is used for the second time, somebody has a copy, and nobody can say who: the whole session
//! ends (RFC 9700, 4.14.2). Only digests are stored.
//!
//! A session belongs to the generation of its user's tokens. Whoever raises that
//! ([`revoke_tokens_of`](super::queries::revoke_tokens_of)) ends all sessions with it, also one that begins at this moment.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;
use sqlx::{Connection, PgConnection, PgPool};

use super::Identity;
use super::secret::Secret;
use crate::config;
use crate::db::{self, CommitError, TransactionId, Witness};
use crate::id::{SessionId, UserId};
use crate::time::Timestamp;

/// How long sessions and their tokens live.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// A refresh token.
    pub refresh: Duration,
    /// A session, however often it is refreshed.
    pub session: Duration,
}

impl Lifetimes {
    /// As the settings say.
    pub fn of(settings: &config::Auth) -> Self {
        Self {
            refresh: Duration::from_secs(settings.refresh_seconds),
            session: Duration::from_secs(settings.session_seconds),
        }
    }
}

/// A session that has just begun or gone on.
#[derive(Debug)]
pub struct Opened {
    /// Which one.
    pub id: SessionId,
    /// When it ends, however often it is refreshed.
    pub expires_at: Timestamp,
    /// What gets the next pair of tokens. This is the only time that it is seen.
    pub refresh_token: Secret,
}

/// Begins a session of that user. If their tokens were revoked since `identity` was read, it has ended already.
///
/// # Errors
/// When the database refuses, or the user is gone.
pub async fn open(pool: &PgPool, identity: &Identity, lifetimes: &Lifetimes) -> Result<Opened, sqlx::Error> {
    open_on(&mut *pool.acquire().await?, identity, lifetimes).await
}

async fn open_on(
    connection: &mut PgConnection,
    identity: &Identity,
    lifetimes: &Lifetimes,
) -> Result<Opened, sqlx::Error> {
    let (id, refresh_token) = (SessionId::new(), Secret::random());
    let expires_at = sqlx::query_scalar(
        "WITH session AS (
                  INSERT INTO sessions (id, user_id, token_generation, expires_at) VALUES ($1, $2, $3, now() + $4)
                  RETURNING id, expires_at),
              token AS (
                  INSERT INTO refresh_tokens (digest, session_id, expires_at)
                  SELECT $6, id, least(now() + $5, expires_at) FROM session)
         SELECT expires_at FROM session",
    )
    .bind(id)
    .bind(identity.id)
    .bind(identity.token_generation)
    .bind(interval(lifetimes.session))
    .bind(interval(lifetimes.refresh))
    .bind(refresh_token.digest())
    .fetch_one(connection)
    .await?;
    Ok(Opened { id, expires_at, refresh_token })
}

/// Why a session did not go on.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// There is no such token, or it has expired, or its session has ended.
    #[error("the refresh token is unknown or has expired")]
    Invalid,
    /// It was used before. Its session has ended with that.
    #[error("the refresh token was used before")]
    Reused {
        /// The session that ended.
        session: SessionId,
        /// Whose it was.
        user: UserId,
    },
    /// The database refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The connection broke in the commit and nobody could say what became of it.
    #[error("it is not known whether the token was used: {0}")]
    Unknown(sqlx::Error),
}

/// Uses a refresh token: the session goes on, with another one. Of several who use the same one at once, one gets that,
/// and the others end the session.
///
/// # Errors
/// See [`RefreshError`].
pub async fn refresh(pool: &PgPool, token: &Secret, lifetimes: &Lifetimes) -> Result<(Identity, Opened), RefreshError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        session_id: SessionId,
        session_expires_at: Timestamp,
        used: bool,
        good: bool,
        #[sqlx(flatten)]
        identity: Identity,
    }
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    // Of two who use one token, the second waits here, and sees that it was used. Nobody ends the session in between.
    let row: Row = sqlx::query_as(
        "SELECT s.id AS session_id, s.expires_at AS session_expires_at, t.used_at IS NOT NULL AS used,
                t.expires_at > now() AND s.expires_at > now() AND s.revoked_at IS NULL
                    AND s.token_generation = u.token_generation AS good,
                u.id, u.email, u.role, u.token_generation
         FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id
         WHERE t.digest = $1 FOR UPDATE OF t, s",
    )
    .bind(token.digest())
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(RefreshError::Invalid)?;
    if row.used {
        revoke_one(&mut transaction, row.session_id, Reason::RefreshTokenReused).await?;
        transaction.commit().await?;
        return Err(RefreshError::Reused { session: row.session_id, user: row.identity.id });
    }
    if !row.good {
        return Err(RefreshError::Invalid);
    }
    let next = Secret::random();
    let id = sqlx::query_scalar(
        "WITH used AS (UPDATE refresh_tokens SET used_at = now() WHERE digest = $1),
              next AS (
                  INSERT INTO refresh_tokens (digest, session_id, expires_at)
                  SELECT $2, id, least(now() + $4, expires_at) FROM sessions WHERE id = $3)
         SELECT pg_current_xact_id()::text::bigint",
    )
    .bind(token.digest())
    .bind(next.digest())
    .bind(row.session_id)
    .bind(interval(lifetimes.refresh))
    .fetch_one(&mut *transaction)
    .await?;
    db::commit(pool, transaction, TransactionId(id), &Refreshed(&next)).await.map_err(|error| match error {
        CommitError::RolledBack(error) => RefreshError::Database(error),
        CommitError::Unknown(error) => RefreshError::Unknown(error),
    })?;
    Ok((row.identity, Opened { id: row.session_id, expires_at: row.session_expires_at, refresh_token: next }))
}

/// What only the refresh that made this token can have written.
struct Refreshed<'a>(&'a Secret);

impl Witness for Refreshed<'_> {
    async fn is_written(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM refresh_tokens WHERE digest = $1)")
            .bind(self.0.digest())
            .fetch_one(pool)
            .await
    }
}

/// Why a session has ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Reason {
    /// Its user has left.
    Logout,
    /// One of its refresh tokens was used twice.
    RefreshTokenReused,
}

/// Ends a session. One that has ended already stays as it is.
///
/// # Errors
/// When the database refuses.
pub async fn revoke(pool: &PgPool, session: SessionId, reason: Reason) -> Result<(), sqlx::Error> {
    revoke_one(&mut *pool.acquire().await?, session, reason).await
}

async fn revoke_one(connection: &mut PgConnection, session: SessionId, reason: Reason) -> Result<(), sqlx::Error> {
    // Of the clock and not of the transaction, which may have waited: apis look at what is new.
    sqlx::query(
        "UPDATE sessions SET revoked_at = clock_timestamp(), revoked_reason = $2
         WHERE id = $1 AND revoked_at IS NULL",
    )
    .bind(session)
    .bind(reason)
    .execute(connection)
    .await
    .map(drop)
}

/// Gives a user another password, which ends all their sessions, and begins another one. `None` when the password was
/// changed, or the tokens revoked, since `identity` was read.
///
/// # Errors
/// When the database refuses.
pub async fn change_password(
    pool: &PgPool,
    identity: &Identity,
    password_hash: &str,
    lifetimes: &Lifetimes,
) -> Result<Option<(Identity, Opened)>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let Some(identity) = replace_password(&mut transaction, identity, password_hash).await? else { return Ok(None) };
    let opened = open_on(&mut transaction, &identity, lifetimes).await?;
    transaction.commit().await?;
    Ok(Some((identity, opened)))
}

/// The same, and begins none: somebody else has set it for them.
///
/// # Errors
/// When the database refuses.
pub async fn reset_password(
    pool: &PgPool,
    identity: &Identity,
    password_hash: &str,
) -> Result<Option<Identity>, sqlx::Error> {
    replace_password(&mut *pool.acquire().await?, identity, password_hash).await
}

async fn replace_password(
    connection: &mut PgConnection,
    identity: &Identity,
    password_hash: &str,
) -> Result<Option<Identity>, sqlx::Error> {
    sqlx::query_as(
        "UPDATE users SET password_hash = $3, token_generation = token_generation + 1, revoked_at = now()
         WHERE id = $1 AND token_generation = $2
         RETURNING id, email, role, token_generation",
    )
    .bind(identity.id)
    .bind(identity.token_generation)
    .bind(password_hash)
    .fetch_optional(connection)
    .await
}

/// A session that has ended before its time.
#[derive(Debug, sqlx::FromRow)]
pub struct RevokedSession {
    /// Which one.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
}

/// Which sessions were revoked within so long.
///
/// # Errors
/// When the database refuses.
pub async fn revoked_within(pool: &PgPool, time: Duration) -> Result<Vec<RevokedSession>, sqlx::Error> {
    sqlx::query_as("SELECT id, user_id FROM sessions WHERE revoked_at >= now() - $1")
        .bind(interval(time))
        .fetch_all(pool)
        .await
}

/// Forgets refresh tokens and sessions that have expired, so many of each at most, and gives how many they were. Any
/// number of workers may do it at once.
///
/// # Errors
/// When the database refuses.
pub async fn forget(pool: &PgPool, limit: u32) -> Result<u64, sqlx::Error> {
    let tokens = sqlx::query(
        "DELETE FROM refresh_tokens WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM refresh_tokens WHERE expires_at < now()
             ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))",
    );
    let tokens = tokens.bind(i64::from(limit)).execute(pool).await?.rows_affected();
    // Their tokens expire with them at the latest, and are gone before them.
    let sessions = sqlx::query(
        "DELETE FROM sessions WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM sessions s WHERE expires_at < now()
               AND NOT EXISTS (SELECT FROM refresh_tokens t WHERE t.session_id = s.id)
             ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))",
    );
    let sessions = sessions.bind(i64::from(limit)).execute(pool).await?.rows_affected();
    Ok(tokens.max(sessions))
}

fn interval(time: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(time.as_micros()).unwrap_or(i64::MAX) }
}
