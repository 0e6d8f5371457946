//! Pausing: between `pause` and `resume` no worker starts a job.

use std::time::Duration;

use serde::Serialize;
use sqlx::{Executor, PgExecutor, PgPool};

use crate::db;
use crate::reason::Reason;
use crate::time::{self, Timestamp};

/// Since when nothing is claimed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// Why, if that was said.
    pub reason: Option<String>,
    /// Since when.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub paused_at: Timestamp,
}

/// What came of a wish to pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paused {
    /// From now on nothing is claimed.
    Now(Pause),
    /// It was paused before, and that pause stays as it is.
    Before(Pause),
}

/// Pauses claiming: no claim that begins from now on takes a job. Those that are under way may still take
/// theirs, see [`older_claims_end`]; what is in hand ends as usual.
///
/// # Errors
/// When the database refuses.
pub async fn pause(pool: &PgPool, reason: Option<&Reason>) -> Result<Paused, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let now: Option<Pause> = sqlx::query_as(
        "INSERT INTO queue_pause (reason) VALUES ($1) ON CONFLICT DO NOTHING RETURNING reason, paused_at",
    )
    .bind(reason)
    .fetch_optional(&mut *transaction)
    .await?;
    let paused = match now {
        Some(now) => Paused::Now(now),
        None => Paused::Before(
            sqlx::query_as("SELECT reason, paused_at FROM queue_pause").fetch_one(&mut *transaction).await?,
        ),
    };
    transaction.commit().await?;
    Ok(paused)
}

/// Waits so long for the claims that began before the pause. Gives whether they have ended: then no job starts any more.
///
/// # Errors
/// When the database refuses.
pub async fn older_claims_end(pool: &PgPool, limit: Duration) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', '0', true)")
        .bind(format!("{}ms", limit.as_millis()))
        .execute(&mut *transaction)
        .await?;
    // Every claim reads this table FOR KEY SHARE, and so holds a lock on it from before it looks for the
    // row until it commits. Plain readers, a backup for example, are not in the way.
    match transaction.execute("LOCK TABLE queue_pause IN EXCLUSIVE MODE").await {
        Ok(_) => transaction.rollback().await.map(|()| true),
        Err(error) if db::is_lock_timeout(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Ends the pause, and gives it; nothing when there was none. Workers notice within about a second.
///
/// # Errors
/// When the database refuses.
pub async fn resume(pool: &PgPool) -> Result<Option<Pause>, sqlx::Error> {
    sqlx::query_as("DELETE FROM queue_pause RETURNING reason, paused_at").fetch_optional(pool).await
}

/// The pause, if there is one.
///
/// # Errors
/// When the database refuses.
pub async fn current(executor: impl PgExecutor<'_>) -> Result<Option<Pause>, sqlx::Error> {
    sqlx::query_as("SELECT reason, paused_at FROM queue_pause").fetch_optional(executor).await
}
