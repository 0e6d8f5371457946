//! PostgreSQL: whether it is there, new enough, durable, and has the schema and the room that the shop needs.

use sqlx::PgPool;

use super::{Check, Subject, with};
use crate::db::{self, Environment};
use crate::migrations::{self, Migration, State};

/// The oldest that will do, as PostgreSQL numbers them.
const OLDEST: i32 = 150_000;

/// The share of connections in use from which on it is getting tight.
const TIGHT: f64 = 0.9;

/// Whether it is there, and if so the way to it.
pub(super) async fn reach<'s>(subject: &Subject<'s>) -> (Check, Option<&'s PgPool>) {
    let name = "postgres";
    let fix = "start it, or correct DATABASE_URL; `shopctl status` shows what runs here";
    let pool = match &subject.postgres {
        Ok(pool) => *pool,
        Err(why) => return (Check::failed(name, why, fix), None),
    };
    match sqlx::query_scalar::<_, String>("SELECT current_database()::text").fetch_one(pool).await {
        Ok(database) => (Check::ok(name, format!("the database {database} answers")), Some(pool)),
        Err(error) => (Check::failed(name, format!("it does not answer: {error}"), fix), None),
    }
}

/// All else about it.
pub(super) async fn examine(pool: Option<&PgPool>, subject: &Subject<'_>) -> Vec<Check> {
    vec![
        with("postgres version", pool, version).await,
        with("durability", pool, durability).await,
        with("migrations", pool, schema).await,
        with("environment", pool, async |pool| environment(pool, subject.production).await).await,
        with("connections", pool, async |pool| connections(pool, subject).await).await,
    ]
}

async fn version(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let name = "postgres version";
    let (number, version): (i32, String) =
        sqlx::query_as("SELECT current_setting('server_version_num')::int, current_setting('server_version')")
            .fetch_one(pool)
            .await?;
    Ok(if number >= OLDEST {
        Check::ok(name, version)
    } else {
        Check::failed(name, version, "upgrade PostgreSQL to 15 or newer")
    })
}

/// A 201 that was answered must outlive a crash of the server.
async fn durability(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let name = "durability";
    let settings = ["fsync", "synchronous_commit", "full_page_writes"];
    let values: Vec<String> = sqlx::query_scalar(
        "SELECT current_setting(name) FROM unnest($1::text[]) WITH ORDINALITY AS s (name, n) ORDER BY n",
    )
    .bind(settings.as_slice())
    .fetch_all(pool)
    .await?;
    let off: Vec<&str> =
        settings.into_iter().zip(&values).filter(|(_, value)| *value == "off").map(|(name, _)| name).collect();
    Ok(match off.first() {
        None => Check::ok(name, "what is committed stays committed"),
        Some(first) => Check::failed(
            name,
            format!("{} off: orders that were answered can be lost in a crash", off.join(", ")),
            format!("in PostgreSQL: ALTER SYSTEM SET {first} = on; SELECT pg_reload_conf();"),
        ),
    })
}

async fn schema(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let name = "migrations";
    let all = migrations::all(&mut *pool.acquire().await?).await?;
    let of = |state: State| -> Vec<&Migration> { all.iter().filter(|migration| migration.state == state).collect() };
    let list = |found: &[&Migration]| {
        found.iter().map(|migration| format!("{:04}", migration.version)).collect::<Vec<_>>().join(", ")
    };
    let fix = |state: State| state.fix().unwrap_or_default();
    let (missing, changed, failed, newer) =
        (of(State::Missing), of(State::Changed), of(State::Failed), of(State::Newer));
    Ok(if !failed.is_empty() {
        Check::failed(name, format!("{} did not come to the end", list(&failed)), fix(State::Failed))
    } else if !changed.is_empty() {
        Check::failed(name, format!("{} were edited after they were applied", list(&changed)), fix(State::Changed))
    } else if !missing.is_empty() {
        Check::failed(name, format!("{} missing: {}", missing.len(), list(&missing)), fix(State::Missing))
    } else if !newer.is_empty() {
        Check::ok(name, format!("all applied, and of a newer version {}", list(&newer)))
    } else {
        Check::ok(name, format!("all {} applied", all.len()))
    })
}

async fn environment(pool: &PgPool, production: bool) -> Result<Check, sqlx::Error> {
    let name = "environment";
    let marked = db::installation(pool).await?.environment;
    Ok(match (marked, production) {
        (Environment::Production, true) => Check::ok(name, "production"),
        (Environment::Development, false) => Check::ok(name, "development"),
        (Environment::Production, false) => Check::failed(
            name,
            "the database is marked production, and the profile is development",
            "set ROCKET_PROFILE=production for all programs of this shop",
        ),
        (Environment::Development, true) => Check::warning(
            name,
            "the database is marked development, and the profile is one for production",
            "take a database of its own for production, or set ROCKET_PROFILE=development",
        ),
        (Environment::Unmarked, _) => {
            Check::warning(name, "the database is not marked with what it is for", "shopctl migrate run")
        }
    })
}

async fn connections(pool: &PgPool, subject: &Subject<'_>) -> Result<Check, sqlx::Error> {
    let name = "connections";
    // What is reserved for superusers, and (from PostgreSQL 16 on) for others, is not ours.
    let (limit, in_use): (i32, i64) = sqlx::query_as(
        "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                - coalesce(current_setting('reserved_connections', true)::int, 0),
                (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')",
    )
    .fetch_one(pool)
    .await?;
    let workers = crate::jobs::workers::list(pool, subject.lease).await?;
    let workers = workers.iter().filter(|worker| worker.alive).count() as u64;
    let (of_worker, of_api) = (u64::from(subject.of_worker), u64::from(subject.of_api));
    let wanted = workers * of_worker + u64::from(subject.apis) * of_api;
    let limit = u64::try_from(limit).unwrap_or(0);
    let seen = format!(
        "{in_use} of {limit} in use; {workers} workers may take {of_worker} each and {} apis {of_api}, {wanted} together",
        subject.apis
    );
    let fix = "raise max_connections of PostgreSQL, or lower databases.pg.max_connections of the programs";
    Ok(if in_use as f64 >= limit as f64 * TIGHT {
        Check::failed(name, seen, fix)
    } else if wanted > limit {
        Check::warning(name, seen, fix)
    } else {
        Check::ok(name, seen)
    })
}
