//! Tickets: what opens one WebSocket, for clients that cannot send a header with it.
//!
//! A browser's `WebSocket` sends no `Authorization`, and a token in an address would be
//! in every log on its way. A ticket may be there: it is good once, and not for long.

use std::time::Duration;

use secrecy::SecretString;
use sqlx::PgPool;

use super::secret::Secret;
use crate::id::{SessionId, UserId};
use crate::time::Timestamp;

/// Whoever holds a token or a ticket, as far as a socket has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Holder {
    /// Who.
    pub user_id: UserId,
    /// The session that the token belongs to.
    pub session_id: SessionId,
    /// The generation of the token.
    pub token_generation: i32,
    /// When the token expires, and with it all that was opened by it.
    pub token_expires_at: Timestamp,
}

/// Issues a ticket that is good for so long. Only its digest is kept.
///
/// # Errors
/// When the database refuses.
pub async fn issue(pool: &PgPool, holder: &Holder, good_for: Duration) -> Result<Secret, sqlx::Error> {
    let ticket = Secret::random();
    sqlx::query(
        "INSERT INTO socket_tickets (digest, user_id, session_id, token_generation, token_expires_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6::double precision))",
    )
    .bind(ticket.digest())
    .bind(holder.user_id)
    .bind(holder.session_id)
    .bind(holder.token_generation)
    .bind(holder.token_expires_at)
    .bind(good_for.as_secs_f64())
    .execute(pool)
    .await?;
    Ok(ticket)
}

/// Takes a ticket, once and never again. `None` when there is no such ticket any more.
///
/// # Errors
/// When the database refuses.
pub async fn redeem(pool: &PgPool, ticket: &str) -> Result<Option<Holder>, sqlx::Error> {
    sqlx::query_as(
        "DELETE FROM socket_tickets
         WHERE digest = $1 AND expires_at > now() AND token_expires_at > now() AND session_id IS NOT NULL
         RETURNING user_id, session_id, token_generation, token_expires_at",
    )
    .bind(Secret::from(SecretString::from(ticket)).digest())
    .fetch_optional(pool)
    .await
}

/// Forgets tickets that nobody took in time.
///
/// # Errors
/// When the database refuses.
pub async fn forget(pool: &PgPool) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query("DELETE FROM socket_tickets WHERE expires_at < now()").execute(pool).await?.rows_affected())
}
