//! Which migrations a database has, and applying those that it lacks.

use std::time::Duration;

use serde::Serialize;
use sqlx::migrate::MigrateError;
use sqlx::{Executor, PgConnection, PgPool};
use utoipa::ToSchema;

use crate::db::{self, MIGRATOR};

/// How a database stands to one migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = MigrationState)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has it.
    Applied,
    /// It lacks it.
    Missing,
    /// It has another one of that number: the file was edited after it was applied.
    Changed,
    /// It began, and did not come to its end.
    Failed,
    /// It has it, and this program does not know it: the database is ahead.
    Newer,
}

impl State {
    /// What is to be done about it; nothing where it is as it should be.
    pub fn fix(self) -> Option<&'static str> {
        match self {
            Self::Applied | Self::Newer => None,
            Self::Missing => Some("shopctl migrate run"),
            Self::Changed => {
                Some("bring back the file as it was applied; a change is a new migration (`shopctl migrate new`)")
            }
            Self::Failed => {
                Some("see what it has done, finish it or take it back by hand, and correct its row in _sqlx_migrations")
            }
        }
    }
}

/// A migration, and how a database stands to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// What it does, in a few words.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
    /// How exactly.
    pub state: State,
}

/// All migrations that the program or the database knows, in their order. Only reads.
///
/// # Errors
/// When the database refuses.
pub async fn all(connection: &mut PgConnection) -> Result<Vec<Migration>, sqlx::Error> {
    let fresh: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NULL").fetch_one(&mut *connection).await?;
    let applied: Vec<(i64, String, bool, Vec<u8>)> = if fresh {
        Vec::new()
    } else {
        sqlx::query_as("SELECT version, description, success, checksum FROM _sqlx_migrations ORDER BY version")
            .fetch_all(connection)
            .await?
    };
    let ours = MIGRATOR.iter().map(|ours| {
        let state = match applied.iter().find(|(version, ..)| *version == ours.version) {
            None => State::Missing,
            Some((.., false, _)) => State::Failed,
            Some((.., checksum)) if *checksum != *ours.checksum => State::Changed,
            Some(_) => State::Applied,
        };
        Migration::new(ours.version, &ours.description, state)
    });
    let newer = applied
        .iter()
        .filter(|(version, ..)| !MIGRATOR.version_exists(*version))
        .map(|(version, name, ..)| Migration::new(*version, name, State::Newer));
    let mut all: Vec<Migration> = ours.chain(newer).collect();
    all.sort_by_key(|migration| migration.version);
    Ok(all)
}

impl Migration {
    fn new(version: i64, name: &str, state: State) -> Self {
        let applied = !matches!(state, State::Missing | State::Failed);
        Self { version, name: name.to_owned(), applied, state }
    }

    /// Its statements; nothing for one that this program does not know.
    pub fn sql(&self) -> &'static str {
        MIGRATOR.iter().find(|ours| ours.version == self.version).map_or("", |ours| ours.sql.as_str())
    }
}

/// Whose turn it is to migrate: held by the connection.
const TURN: &str = "SELECT pg_try_advisory_lock(hashtextextended('shopctl migrate run', 0))";
const GIVE_WAY: &str = "SELECT pg_advisory_unlock(hashtextextended('shopctl migrate run', 0))";
/// How often to look whether it is ours.
const LOOK: Duration = Duration::from_millis(200);

/// Applies the migrations that are missing, one transaction for each, and marks a fresh database with what it is for. Gives those
/// that it found missing; `next` hears of each before it begins. Two at once are one: the second waits, and finds nothing to do.
///
/// # Errors
/// When one cannot be applied: those before it stay. When one that is applied was changed, nothing is.
pub async fn run(
    pool: &PgPool,
    production: bool,
    next: impl FnMut(&Migration),
) -> Result<Vec<Migration>, MigrateError> {
    let mut connection = pool.acquire().await?;
    // However long the other one takes: the limit on locks, which stays as it is, is for tables.
    while !sqlx::query_scalar::<_, bool>(TURN).fetch_one(&mut *connection).await? {
        tokio::time::sleep(LOOK).await;
    }
    let done = run_alone(&mut connection, next).await;
    connection.execute(GIVE_WAY).await?;
    let missing = done?;
    db::mark_environment(pool, production).await?;
    Ok(missing)
}

async fn run_alone(
    connection: &mut PgConnection,
    mut next: impl FnMut(&Migration),
) -> Result<Vec<Migration>, MigrateError> {
    let all = all(&mut *connection).await?;
    let missing: Vec<Migration> = all.into_iter().filter(|migration| migration.state == State::Missing).collect();
    // The limits are for requests; a migration takes the time that it takes.
    connection.execute("SET statement_timeout = 0").await?;
    let mut applied = Ok(());
    for migration in &missing {
        next(migration);
        applied = MIGRATOR.run_to(migration.version, &mut *connection).await;
        if applied.is_err() {
            break;
        }
    }
    if applied.is_ok() {
        applied = MIGRATOR.run(&mut *connection).await;
    }
    connection.execute("RESET statement_timeout").await?;
    applied?;
    Ok(missing)
}
