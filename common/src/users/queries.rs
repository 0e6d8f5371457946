//! Users in the database.

use sqlx::PgPool;

use super::{Email, Identity, Role, UserName};
use crate::id::UserId;
use crate::time::Timestamp;

/// A user that is not in the database yet.
#[derive(Debug)]
pub struct NewUser {
    /// Their address.
    pub email: Email,
    /// What to call them.
    pub name: Option<UserName>,
    /// The hash of their password.
    pub password_hash: String,
    /// What they may do.
    pub role: Role,
}

/// Why a user was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateUserError {
    /// Somebody has the address already.
    #[error("the email is taken")]
    EmailTaken,
    /// The database refused.
    #[error(transparent)]
    Database(sqlx::Error),
}

/// Creates a user.
///
/// # Errors
/// When the email is taken, or the database refuses.
pub async fn create(pool: &PgPool, user: &NewUser) -> Result<Identity, CreateUserError> {
    sqlx::query_as(
        "INSERT INTO users (id, email, name, password_hash, role) VALUES ($1, $2, $3, $4, $5)
         RETURNING id, email, role, token_generation",
    )
    .bind(UserId::new())
    .bind(&user.email)
    .bind(&user.name)
    .bind(&user.password_hash)
    .bind(user.role)
    .fetch_one(pool)
    .await
    .map_err(|error| match error.as_database_error().and_then(|e| e.constraint()) {
        Some("users_email_unique") => CreateUserError::EmailTaken,
        _ => CreateUserError::Database(error),
    })
}

/// The user with that email and the hash of their password.
///
/// # Errors
/// When the database refuses.
pub async fn find_for_login(pool: &PgPool, email: &Email) -> Result<Option<(Identity, String)>, sqlx::Error> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        identity: Identity,
        password_hash: String,
    }
    let row: Option<Row> =
        sqlx::query_as("SELECT id, email, role, token_generation, password_hash FROM users WHERE email = $1")
            .bind(email)
            .fetch_optional(pool)
            .await?;
    Ok(row.map(|row| (row.identity, row.password_hash)))
}

/// Revokes all tokens that the user with that email has. Gives who that is, if there is such a user.
///
/// # Errors
/// When the database refuses.
pub async fn revoke_tokens(pool: &PgPool, email: &Email) -> Result<Option<Identity>, sqlx::Error> {
    sqlx::query_as(
        "UPDATE users SET token_generation = token_generation + 1, revoked_at = now() WHERE email = $1
         RETURNING id, email, role, token_generation",
    )
    .bind(email)
    .fetch_optional(pool)
    .await
}

/// A user whose tokens were revoked.
#[derive(Debug, sqlx::FromRow)]
pub struct Revoked {
    /// Who.
    pub id: UserId,
    /// The generation of the tokens that count since then.
    pub token_generation: i32,
    /// When.
    pub revoked_at: Timestamp,
}

/// Whose tokens were revoked since a time, or ever.
///
/// # Errors
/// When the database refuses.
pub async fn revoked_since(pool: &PgPool, time: Option<Timestamp>) -> Result<Vec<Revoked>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, token_generation, revoked_at FROM users
         WHERE revoked_at IS NOT NULL AND revoked_at >= coalesce($1, '-infinity')",
    )
    .bind(time)
    .fetch_all(pool)
    .await
}
