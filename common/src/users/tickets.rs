//! Tickets: what opens one WebSocket, for clients that cannot send a header with it.
//!
//! A browser's `WebSocket` sends no `Authorization`, and a token in an address would be
//! in every log on its way. A ticket may be there: it is good once, and not for long.

use std::time::Duration;

use rand::RngCore;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::id::UserId;
use crate::time::Timestamp;

/// Whoever holds a token or a ticket, as far as a socket has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Holder {
    /// Who.
    pub user_id: UserId,
    /// The generation of the token.
    pub token_generation: i32,
    /// When the token expires, and with it all that was opened by it.
    pub token_expires_at: Timestamp,
}

/// Issues a ticket that is good for so long. Only its digest is kept.
///
/// # Errors
/// When the database refuses.
pub async fn issue(pool: &PgPool, holder: &Holder, good_for: Duration) -> Result<String, sqlx::Error> {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    let ticket: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    sqlx::query(
        "INSERT INTO socket_tickets (digest, user_id, token_generation, token_expires_at, expires_at)
         VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5::double precision))",
    )
    .bind(digest(&ticket))
    .bind(holder.user_id)
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
        "DELETE FROM socket_tickets WHERE digest = $1 AND expires_at > now() AND token_expires_at > now()
         RETURNING user_id, token_generation, token_expires_at",
    )
    .bind(digest(ticket))
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

fn digest(ticket: &str) -> Vec<u8> {
    Sha256::digest(ticket).to_vec()
}
