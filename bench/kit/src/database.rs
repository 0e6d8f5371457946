//! Databases that only one run has.

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Runs SQL on a connection of its own.
///
/// # Errors
/// When the server is away or refuses.
pub async fn command(server: &str, sql: String) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(server).await.context("reaching PostgreSQL")?;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// The URL of another database on the same server.
///
/// # Errors
/// When the URL names no database.
pub fn with_database(server: &str, name: &str) -> anyhow::Result<String> {
    let (path, options) = server.split_once('?').map_or((server, None), |(path, options)| (path, Some(options)));
    let (start, _) = path.rsplit_once('/').context("DATABASE_URL names no database")?;
    Ok(options.map_or_else(|| format!("{start}/{name}"), |options| format!("{start}/{name}?{options}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_is_on_the_same_server_with_the_same_options() {
        let url = |server| with_database(server, "live").unwrap();
        assert_eq!(url("postgres://shop:x@127.0.0.1:5432/shop"), "postgres://shop:x@127.0.0.1:5432/live");
        assert_eq!(url("postgres://h/shop?sslmode=disable"), "postgres://h/live?sslmode=disable");
    }
}
