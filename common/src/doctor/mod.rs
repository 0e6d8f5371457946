//! Looking a shop over: each check says what it saw and, where that is not as it should be, what to do about it.
//!
//! No check stops another one: what cannot be looked at, because a server is away or does not tell, is `unknown`.

mod clocks;
mod postgres;
mod redis;
mod secrets;
mod work;

use std::fmt::Display;
use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::redis::Redis;

/// What a check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and is not as it should be.
    Warning,
    /// Something does not work, or is not safe.
    Failed,
    /// It could not be looked at.
    Unknown,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// What it is.
    pub name: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What to do about it: a sentence, or a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Check {
    /// It is as it should be.
    pub fn ok(name: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Ok, seen: seen.into(), fix: None }
    }

    /// It works, and is not as it should be.
    pub fn warning(name: impl Into<String>, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Warning, seen: seen.into(), fix: Some(fix.into()) }
    }

    /// Something does not work, or is not safe.
    pub fn failed(name: impl Into<String>, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Failed, seen: seen.into(), fix: Some(fix.into()) }
    }

    /// It could not be looked at.
    pub fn unknown(name: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Unknown, seen: seen.into(), fix: None }
    }

    /// What came of a look that the server may have refused.
    fn looked<E: Display>(name: &str, looked: Result<Self, E>) -> Self {
        looked.unwrap_or_else(|error| Self::unknown(name, format!("it does not tell: {error}")))
    }
}

/// What is looked over.
pub struct Subject<'s> {
    /// PostgreSQL, or why nobody knows where it is.
    pub postgres: Result<&'s PgPool, String>,
    /// Redis, or why nobody knows where it is.
    pub redis: Result<&'s Redis, String>,
    /// The key that signs tokens, where it is known.
    pub jwt_secret: Option<&'s SecretString>,
    /// Whether the profile is one for production.
    pub production: bool,
    /// How long a silent worker keeps its jobs.
    pub lease: Duration,
    /// The connections to PostgreSQL that each api may take.
    pub of_api: u32,
    /// The connections to PostgreSQL that each worker may take.
    pub of_worker: u32,
    /// How many apis run, as far as is known.
    pub apis: u32,
}

/// Looks over all that both servers know.
pub async fn examine(subject: &Subject<'_>) -> Vec<Check> {
    let (postgres, pool) = postgres::reach(subject).await;
    let (redis, connection) = redis::reach(subject).await;
    let mut checks = vec![postgres];
    checks.extend(postgres::examine(pool, subject).await);
    checks.push(redis);
    checks.extend(redis::examine(connection).await);
    checks.push(clocks::compare(pool, connection).await);
    checks.extend(secrets::examine(pool, subject).await);
    checks.extend(work::examine(pool, connection, subject.lease).await);
    checks
}

/// Looks with a connection, if there is one.
async fn with<'c, C, E: Display>(
    name: &'static str,
    connection: Option<&'c C>,
    look: impl AsyncFnOnce(&'c C) -> Result<Check, E>,
) -> Check {
    match connection {
        Some(connection) => Check::looked(name, look(connection).await),
        None => Check::unknown(name, "its server is away"),
    }
}
