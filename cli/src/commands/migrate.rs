//! `shopctl migrate`: the schema, forward only.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use shop_common::db::{self, Ending};
use shop_common::migrations::{self, Migration, State};
use sqlx::migrate::MigrateError;
use sqlx::{Executor, PgPool};
use utoipa::ToSchema;

use crate::args::migrate::{MigrateCommand, MigrateNewArgs, MigrateResetArgs, MigrateRunArgs};
use crate::args::{Format, ShopArgs};
use crate::ask;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// Where migrations are written, in the repository.
const FOLDER: &str = "migrations";

/// `shopctl migrate …`.
pub(crate) async fn run(command: MigrateCommand) -> Result<(), Failure> {
    match command {
        MigrateCommand::Run(args) => migrate(&args).await,
        MigrateCommand::Status(args) => status(&args).await,
        MigrateCommand::New(args) => new(&args),
        MigrateCommand::Reset(args) => reset(&args).await,
    }
}

/// A migration that is applied, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Step {
    version: i64,
    name: String,
    /// The size of its statements.
    bytes: usize,
    /// Its statements, where they are only shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<&'static str>,
}

impl Step {
    fn of(migration: &Migration, args: &MigrateRunArgs) -> Self {
        let sql = migration.sql();
        let shown = args.dry_run.then_some(sql);
        Self { version: migration.version, name: migration.name.clone(), bytes: sql.len(), sql: shown }
    }
}

/// Applies what is missing, or only says what that is.
async fn migrate(args: &MigrateRunArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let missing = if args.dry_run { missing(&shop.pool).await? } else { apply(&shop.pool, shop.production).await? };
    let steps: Vec<Step> = missing.iter().map(|migration| Step::of(migration, args)).collect();
    let row = |step: &Step| [format!("{:04}", step.version), step.name.clone(), step.bytes.to_string()];
    if !(steps.is_empty() && args.shop.output == Format::Table) {
        output::list(args.shop.output, &steps, ["VERSION", "NAME", "BYTES"], row)?;
    }
    output::note(match (steps.len(), args.dry_run) {
        (0, _) => "the schema is up to date".to_owned(),
        (n, true) => format!("{n} migrations would be applied; nothing was done"),
        (n, false) => format!("{n} migrations applied, the schema is up to date"),
    });
    Ok(())
}

/// Brings the schema up to date and marks a fresh database with what it is for. On a terminal, a bar shows how far it is.
pub(crate) async fn apply(pool: &PgPool, production: bool) -> Result<Vec<Migration>, Failure> {
    let bar = output::bar("{pos} of {len} {wide_bar} {msg}");
    let missing = all(pool).await?.iter().filter(|migration| migration.state == State::Missing).count();
    bar.set_length(missing as u64);
    let mut begun = 0;
    let applied = migrations::run(pool, production, |migration| {
        begun += 1;
        bar.set_position(begun);
        bar.set_message(format!("{:04} {}", migration.version, migration.name));
    })
    .await;
    bar.finish_and_clear();
    applied.map_err(failure)
}

/// What would be applied, asked in a transaction that cannot write.
async fn missing(pool: &PgPool) -> Result<Vec<Migration>, Failure> {
    let mut transaction = pool.begin_with("BEGIN READ ONLY").await.map_err(database)?;
    let all = migrations::all(&mut transaction).await.map_err(database)?;
    transaction.rollback().await.map_err(database)?;
    match all.iter().find(|migration| matches!(migration.state, State::Changed | State::Failed)) {
        Some(Migration { version, state: State::Changed, .. }) => Err(failure(MigrateError::VersionMismatch(*version))),
        Some(Migration { version, .. }) => Err(failure(MigrateError::Dirty(*version))),
        None => Ok(all.into_iter().filter(|migration| migration.state == State::Missing).collect()),
    }
}

fn failure(error: MigrateError) -> Failure {
    let conflict = |version: i64, what: &str, state: State| {
        Failure::new(Exit::Conflict, format!("migration {version:04} {what}; nothing was done"))
            .next(state.fix().unwrap_or_default())
    };
    match error {
        MigrateError::VersionMismatch(version) => conflict(version, "was edited after it was applied", State::Changed),
        MigrateError::Dirty(version) => conflict(version, "began and did not come to its end", State::Failed),
        MigrateError::Execute(error) => database(error),
        MigrateError::ExecuteMigration(error, version) => {
            Failure::new(Exit::Failed, format!("migration {version:04} was refused and taken back: {error}"))
                .next("those before it stay; `shopctl migrate status` lists them")
        }
        error => error.into(),
    }
}

/// Lists the migrations.
async fn status(args: &ShopArgs) -> Result<(), Failure> {
    let migrations = all(&Shop::find(&args.home.dir)?.pool).await?;
    let row = |migration: &Migration| {
        let state = match migration.state {
            State::Applied => "applied",
            State::Missing => "missing",
            State::Changed => "changed after it was applied",
            State::Failed => "did not come to its end",
            State::Newer => "applied, and newer than this program",
        };
        [format!("{:04}", migration.version), migration.name.clone(), state.to_owned()]
    };
    output::list(args.output, &migrations, ["VERSION", "NAME", "STATE"], row)?;
    Ok(())
}

async fn all(pool: &PgPool) -> Result<Vec<Migration>, Failure> {
    let mut connection = pool.acquire().await.map_err(database)?;
    migrations::all(&mut connection).await.map_err(database)
}

/// Writes the next migration, empty but for its rules.
fn new(args: &MigrateNewArgs) -> Result<(), Failure> {
    let folder = Path::new(FOLDER);
    if !folder.is_dir() {
        return Err(Failure::new(Exit::NotFound, format!("there is no folder {FOLDER} here"))
            .next("run this at the top of the repository"));
    }
    let path = write_next(folder, &args.name)?;
    output::data(path.display())?;
    output::note("it is compiled in when shopctl is built the next time");
    Ok(())
}

fn write_next(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let slug: String = name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let mut last = 0;
    for entry in fs::read_dir(folder)? {
        let file = entry?.file_name();
        let number = file.to_str().and_then(|file| file.split('_').next()?.parse().ok());
        last = last.max(number.unwrap_or(0_u32));
    }
    let path = folder.join(format!("{:04}_{slug}.sql", last + 1));
    fs::write(
        &path,
        "-- What changes, and why. Forward only; the binary before this one must survive it (see README.md).\n",
    )?;
    Ok(path)
}

/// Drops everything and starts afresh. Only on a database that is marked as one for development.
async fn reset(args: &MigrateResetArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.home.dir)?;
    if !db::is_marked_development(&shop.pool).await.map_err(database)? {
        return Err(Failure::new(Exit::Refused, "this database is not marked development, it is not reset")
            .next("if you really mean it, drop the database with PostgreSQL's own tools"));
    }
    let (orders, users) = counts(&shop.pool).await?;
    let deed = format!("This deletes the whole shop: {orders} orders, {users} users.");
    if ask::consent(&shop.pool, &args.consent, &deed).await? == Ending::DryRun {
        return Ok(());
    }
    let mut transaction = shop.pool.begin().await.map_err(database)?;
    transaction
        .execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS simulated_gateway CASCADE")
        .await
        .map_err(database)?;
    transaction.commit().await.map_err(database)?;
    apply(&shop.pool, shop.production).await?;
    output::note("the shop is empty; `shopctl admin seed` makes its first admin");
    Ok(())
}

async fn counts(pool: &PgPool) -> Result<(i64, i64), Failure> {
    sqlx::query_as("SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM users)")
        .fetch_one(pool)
        .await
        .map_err(database)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_migration_has_the_next_number() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("0007_orders.sql"), "").unwrap();
        fs::write(folder.path().join("README.md"), "").unwrap();

        let path = write_next(folder.path(), "Add SKU").unwrap();

        assert_eq!(path.file_name().unwrap(), "0008_add_sku.sql");
    }
}
