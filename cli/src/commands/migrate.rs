//! `shopctl migrate`: the schema, forward only.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use shop_common::db::{self, Ending, MIGRATOR};
use sqlx::{Executor, PgPool};
use utoipa::ToSchema;

use crate::args::ShopArgs;
use crate::args::migrate::{MigrateCommand, MigrateNewArgs, MigrateResetArgs, MigrateRunArgs};
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

/// A migration and whether the database has it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Migration {
    version: i64,
    name: String,
    applied: bool,
}

/// Applies what is missing. Two at once are one: the second waits and finds nothing to do.
async fn migrate(args: &MigrateRunArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.home.dir)?;
    let missing = all(&shop.pool).await?.into_iter().filter(|migration| !migration.applied).count();
    apply(&shop.pool, shop.production).await?;
    output::note(match missing {
        0 => "the schema is up to date".to_owned(),
        n => format!("{n} migrations applied, the schema is up to date"),
    });
    Ok(())
}

/// Brings the schema up to date and marks a fresh database with what it is for.
pub(crate) async fn apply(pool: &PgPool, production: bool) -> Result<(), Failure> {
    let mut connection = pool.acquire().await.map_err(database)?;
    // The limits are for requests; a migration takes the time that it takes.
    connection.execute("SET statement_timeout = 0").await.map_err(database)?;
    let applied = MIGRATOR.run(&mut *connection).await;
    connection.execute("RESET statement_timeout").await.map_err(database)?;
    applied?;
    db::mark_environment(pool, production).await.map_err(database)
}

/// Lists the migrations.
async fn status(args: &ShopArgs) -> Result<(), Failure> {
    let migrations = all(&Shop::find(&args.home.dir)?.pool).await?;
    let row = |migration: &Migration| {
        let state = if migration.applied { "applied" } else { "missing" };
        [format!("{:04}", migration.version), migration.name.clone(), state.to_owned()]
    };
    output::list(args.output, &migrations, ["VERSION", "NAME", "STATE"], row)?;
    Ok(())
}

async fn all(pool: &PgPool) -> Result<Vec<Migration>, Failure> {
    let fresh: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NULL").fetch_one(pool).await.map_err(database)?;
    let applied: Vec<i64> = if fresh {
        Vec::new()
    } else {
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
            .fetch_all(pool)
            .await
            .map_err(database)?
    };
    let migration = |migration: &sqlx::migrate::Migration| Migration {
        version: migration.version,
        name: migration.description.to_string(),
        applied: applied.contains(&migration.version),
    };
    Ok(MIGRATOR.iter().map(migration).collect())
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
