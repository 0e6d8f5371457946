//! PostgreSQL: the pool, the schema, and commits whose answer got lost.

use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgPool, Postgres, Transaction};

use crate::config;

/// The migrations of `migrations/`, compiled in.
///
/// A database that has newer ones is no fault: a release is rolled out program by program.
pub static MIGRATOR: Migrator = {
    let mut migrator = sqlx::migrate!("../migrations");
    migrator.ignore_missing = true;
    migrator
};

/// How long to look for the end of a transaction whose answer got lost.
const COMMIT_LOOKUP: Duration = Duration::from_secs(10);
/// Longer than any statement and the look for a lost commit take together.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often a transaction that falls victim to a deadlock is tried.
pub(crate) const DEADLOCK_TRIES: usize = 3;
const COMMIT_LOOKUP_PAUSE: Duration = Duration::from_millis(50);

/// A connection that was used so lately is taken to be alive; an older one is asked first.
const FRESH: Duration = Duration::from_secs(1);

/// A pool that connects when it is first used, so that a daemon starts while PostgreSQL is away.
///
/// # Errors
/// When the URL cannot be read.
pub fn pool(settings: &config::Postgres) -> Result<PgPool, sqlx::Error> {
    Ok(pool_options(settings, settings.max_connections)
        // A `begin` that is cancelled in flight would come back to the pool inside
        // a transaction (launchbadge/sqlx#4393). Outside of one this does nothing.
        .after_release(|connection, _| {
            Box::pin(async move {
                connection.execute("ROLLBACK").await?;
                Ok(true)
            })
        })
        .connect_lazy_with(connect_options(settings)?))
}

/// A pool for transactions that find everything by key, and that nobody cancels.
///
/// Few connections that are used all the time have their plans at hand. Those must not depend on how large a table was
/// when they were made: PostgreSQL keeps them, also those of foreign keys, and what it planned for the empty tables of a new
/// shop would read them whole until somebody analyses them. So rows are looked up one by one, and nothing else is considered.
///
/// Where such a transaction also looks at a state, it says `IS NOT DISTINCT FROM` and not `=`, for which PostgreSQL has no
/// index. It would take the index of that state, and with it walk through a whole backlog for each batch, whenever it was last
/// analysed while there was no backlog.
///
/// # Errors
/// When the URL cannot be read.
pub fn pool_by_key(settings: &config::Postgres, connections: u32) -> Result<PgPool, sqlx::Error> {
    let options = connect_options(settings)?.options([
        // The plan is the same for any keys, so it is made once.
        ("plan_cache_mode", "force_generic_plan"),
        // What cannot be avoided counts as so dear that it would be compiled each time.
        ("jit", "off"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ]);
    Ok(pool_options(settings, connections).connect_lazy_with(options))
}

fn connect_options(settings: &config::Postgres) -> Result<PgConnectOptions, sqlx::Error> {
    let milliseconds = |ms: u64| format!("{ms}ms");
    let options: PgConnectOptions = settings.url.expose_secret().parse()?;
    Ok(options.options([
        ("client_min_messages", "error".to_owned()),
        ("lock_timeout", milliseconds(settings.lock_timeout_ms)),
        ("statement_timeout", milliseconds(settings.statement_timeout_ms)),
        ("idle_in_transaction_session_timeout", milliseconds(settings.idle_in_transaction_timeout_ms)),
    ]))
}

fn pool_options(settings: &config::Postgres, connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_millis(settings.connect_timeout_ms))
        // Asking each time would be a round trip for each query.
        .test_before_acquire(false)
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for >= FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

/// The versions of the migrations that this program was built for and that the database has not: none when its schema
/// is at least as new.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub async fn missing_migrations(pool: &PgPool) -> Result<Vec<i64>, sqlx::Error> {
    let applied: Result<Vec<i64>, sqlx::Error> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(pool).await;
    let applied = match applied {
        Ok(applied) => applied,
        // There is no such table yet.
        Err(error) if error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("42P01")) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(MIGRATOR.iter().map(|migration| migration.version).filter(|version| !applied.contains(version)).collect())
}

/// Whether a database was marked as one for development when it was migrated first. One that is no
/// shop's has no mark.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub async fn is_marked_development(pool: &PgPool) -> Result<bool, sqlx::Error> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('installation') IS NOT NULL").fetch_one(pool).await?;
    if !exists {
        return Ok(false);
    }
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM installation WHERE environment = 'development')")
        .fetch_one(pool)
        .await
}

/// Marks a fresh database with the environment it is for; one that is marked stays as it is.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub async fn mark_environment(pool: &PgPool, production: bool) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO installation (environment) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(if production { "production" } else { "development" })
        .execute(pool)
        .await?;
    Ok(())
}

/// What a database is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Environment {
    /// To try things.
    Development,
    /// To sell.
    Production,
    /// Nobody has said, see [`mark_environment`].
    Unmarked,
}

/// Which database this is.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Installation {
    /// Its name.
    pub database: String,
    /// What it is for.
    pub environment: Environment,
}

/// Asks the database what it is.
///
/// # Errors
/// When it refuses.
pub async fn installation(pool: &PgPool) -> Result<Installation, sqlx::Error> {
    sqlx::query_as(
        "SELECT current_database()::text AS database, coalesce((SELECT environment FROM installation), 'unmarked') AS environment",
    )
    .fetch_one(pool)
    .await
}

/// How long the statements of a transaction wait for rows that another one holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locks {
    /// As long as the settings say.
    Usual,
    /// Hardly at all: others wait behind this transaction.
    Briefly,
}

/// Begins a transaction.
///
/// # Errors
/// When the database cannot be reached.
pub async fn begin(pool: &PgPool, locks: Locks) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    if locks == Locks::Briefly {
        transaction.execute("SET LOCAL lock_timeout = '50ms'").await?;
    }
    Ok(transaction)
}

/// How a transaction ends that an operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// What it did is done.
    Commit,
    /// Nothing is done: it only showed what it would do.
    DryRun,
}

impl Ending {
    /// Ends it.
    ///
    /// # Errors
    /// When the database refuses. If only the answer to a COMMIT got lost, asking again says what is so.
    pub async fn end(self, transaction: Transaction<'_, Postgres>) -> Result<(), sqlx::Error> {
        match self {
            Self::Commit => transaction.commit().await,
            Self::DryRun => transaction.rollback().await,
        }
    }
}

/// The number of a transaction, by which its end can be asked for from another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct TransactionId(pub i64);

/// Why a commit did not answer `Ok`.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Nothing was written.
    #[error("rolled back: {0}")]
    RolledBack(sqlx::Error),
    /// The connection broke and nobody could say what became of the transaction.
    #[error("not known whether committed: {0}")]
    Unknown(sqlx::Error),
}

/// What knows a row that only one transaction can have written.
pub trait Witness: Sync {
    /// Whether that row is in the database.
    ///
    /// # Errors
    /// When the database cannot be asked.
    fn is_written(&self, pool: &PgPool) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;
}

impl CommitError {
    /// Whether the database found fault with what was written, and not with the moment:
    /// it was neither busy nor away.
    pub fn is_refusal(&self) -> bool {
        let Self::RolledBack(error) = self else { return false };
        let passing = ["08", "40", "53", "55", "57"];
        error
            .as_database_error()
            .and_then(|refused| refused.code())
            .is_some_and(|code| !passing.iter().any(|class| code.starts_with(class)))
    }
}

/// Commits. When the answer gets lost, finds out from another connection what became of the transaction.
///
/// Its id tells only whether it is still running: after a crash of PostgreSQL the id of
/// a transaction that was lost is given to another one. What was written is known by
/// the `witness`, which looks for something that only this transaction can have written.
///
/// # Errors
/// When the transaction was rolled back, or when nobody could say for ten seconds what became of it.
pub async fn commit(
    pool: &PgPool,
    transaction: Transaction<'_, Postgres>,
    id: TransactionId,
    witness: &impl Witness,
) -> Result<(), CommitError> {
    outcome(pool, transaction.commit().await, id, witness).await
}

/// What became of a transaction whose COMMIT was answered, or not, like that: see [`commit`].
///
/// # Errors
/// When the transaction was rolled back, or when nobody could say for ten seconds what became of it.
pub async fn outcome(
    pool: &PgPool,
    answer: Result<(), sqlx::Error>,
    id: TransactionId,
    witness: &impl Witness,
) -> Result<(), CommitError> {
    let Err(error) = answer else { return Ok(()) };
    if is_refusal(&error) {
        return Err(CommitError::RolledBack(error));
    }
    tracing::warn!(%error, transaction = id.0, "the answer to a COMMIT got lost, asking what became of it");
    let deadline = tokio::time::Instant::now() + COMMIT_LOOKUP;
    while tokio::time::Instant::now() < deadline {
        if has_ended(pool, id).await {
            match witness.is_written(pool).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(CommitError::RolledBack(error)),
                Err(_) => {}
            }
        }
        tokio::time::sleep(COMMIT_LOOKUP_PAUSE).await;
    }
    Err(CommitError::Unknown(error))
}

/// Whether the transaction runs no more. One that PostgreSQL does not know is one that a crash has ended.
async fn has_ended(pool: &PgPool, id: TransactionId) -> bool {
    // https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
    let status: Result<Option<String>, _> =
        sqlx::query_scalar("SELECT pg_xact_status($1::text::xid8)").bind(id.0.to_string()).fetch_one(pool).await;
    match status {
        Ok(status) => status.as_deref() != Some("in progress"),
        Err(error) => error.as_database_error().is_some_and(|refused| refused.code().as_deref() == Some("22023")),
    }
}

/// Whether PostgreSQL itself has refused, so that certainly nothing was written: integrity,
/// invalid transaction state, rollback, and the classes of limits and locks.
/// Anything else may come from a proxy, or from a server that goes down after the commit.
fn is_refusal(error: &sqlx::Error) -> bool {
    let classes = ["23", "25", "40", "53", "54", "55"];
    error
        .as_database_error()
        .and_then(|refused| refused.code())
        .is_some_and(|code| classes.iter().any(|class| code.starts_with(class)))
}

/// Whether a transaction was rolled back because it and another one waited for each other.
pub fn is_deadlock(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|refused| matches!(refused.code().as_deref(), Some("40P01" | "40001")))
}

/// Whether somebody else held a lock for longer than a statement waits for one.
pub fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|refused| refused.code().as_deref() == Some("55P03"))
}

/// Runs work on the database in a task that nobody cancels, and waits for it only so
/// long: a connection that went silent is not noticed by anybody else.
///
/// Gives `None` when it took longer, or panicked; the work may still end.
pub async fn bounded<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    tokio::time::timeout(PATIENCE, tokio::spawn(work)).await.ok()?.ok()
}
