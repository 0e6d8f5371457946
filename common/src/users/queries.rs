//! Users in the database.

use std::time::Duration;

use serde::Serialize;
use sqlx::PgPool;

use super::{Email, Identity, Role, UserName};
use crate::id::UserId;
use crate::time::{self, Timestamp};

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

/// Who a user is, and the hash of their password.
#[derive(Debug, sqlx::FromRow)]
pub struct Login {
    /// Who.
    #[sqlx(flatten)]
    pub identity: Identity,
    /// The hash of their password.
    pub password_hash: String,
}

/// The user with that email.
///
/// # Errors
/// When the database refuses.
pub async fn find_for_login(pool: &PgPool, email: &Email) -> Result<Option<Login>, sqlx::Error> {
    sqlx::query_as("SELECT id, email, role, token_generation, password_hash FROM users WHERE email = $1")
        .bind(email)
        .fetch_optional(pool)
        .await
}

/// The user with that id.
///
/// # Errors
/// When the database refuses.
pub async fn login_of(pool: &PgPool, id: UserId) -> Result<Option<Login>, sqlx::Error> {
    sqlx::query_as("SELECT id, email, role, token_generation, password_hash FROM users WHERE id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// A user as they are shown to themselves.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Who.
    pub id: UserId,
    /// Their address.
    #[schema(value_type = String, format = Email)]
    pub email: Email,
    /// What to call them.
    pub name: Option<UserName>,
    /// What they may do.
    pub role: Role,
    /// Since when they have an account.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// The user with that id, if there is one.
///
/// # Errors
/// When the database refuses.
pub async fn account(pool: &PgPool, id: UserId) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as("SELECT id, email, name, role, created_at FROM users WHERE id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// Keeps another hash of the same password, unless it was changed since the old hash was read.
///
/// # Errors
/// When the database refuses.
pub async fn rehash(pool: &PgPool, id: UserId, old: &str, new: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2")
        .bind(id)
        .bind(old)
        .bind(new)
        .execute(pool)
        .await
        .map(drop)
}

/// Revokes all tokens that the user with that id has, and ends all their sessions. Gives who that is, if there is
/// such a user.
///
/// # Errors
/// When the database refuses.
pub async fn revoke_tokens_of(pool: &PgPool, id: UserId) -> Result<Option<Identity>, sqlx::Error> {
    sqlx::query_as(
        "UPDATE users SET token_generation = token_generation + 1, revoked_at = now() WHERE id = $1
         RETURNING id, email, role, token_generation",
    )
    .bind(id)
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
}

/// Whose tokens were revoked within so long.
///
/// # Errors
/// When the database refuses.
pub async fn revoked_within(pool: &PgPool, time: Duration) -> Result<Vec<Revoked>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, token_generation FROM users
         WHERE revoked_at >= now() - make_interval(secs => $1::double precision)",
    )
    .bind(time.as_secs_f64())
    .fetch_all(pool)
    .await
}
