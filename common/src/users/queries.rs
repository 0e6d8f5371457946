//! Users in the database.

use sqlx::PgPool;

use super::{Email, Identity, Role, UserName};
use crate::id::UserId;

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
        "INSERT INTO users (id, email, name, password_hash, role) VALUES ($1, $2, $3, $4, $5) RETURNING id, email, role",
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
    let row: Option<Row> = sqlx::query_as("SELECT id, email, role, password_hash FROM users WHERE email = $1")
        .bind(email)
        .fetch_optional(pool)
        .await?;
    Ok(row.map(|row| (row.identity, row.password_hash)))
}
