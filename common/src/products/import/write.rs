//! Writes what was staged into the catalogue, in one transaction.
//!
//! New products come first, since nobody waits for them, and those that are changed last: their rows stay locked until
//! the commit, and orders of them wait. They are locked in the order of their ids, as everybody locks them.

use sqlx::{Connection, Executor, PgConnection, PgPool};

use super::staging::{Staging, differs};
use super::{ImportError, Summary};
use crate::db::{self, CommitError, Ending, TransactionId, Witness};
use crate::id::ProductId;
use crate::products::queries::INITIAL_STOCK;
use crate::reason::Reason;

/// Lines whose products are added in one statement: what PostgreSQL remembers for the triggers of a statement is in memory.
const AT_ONCE: i64 = 2_000;

const ADD: &str = "
    WITH added AS (
        INSERT INTO products (id, sku, name, description, price_minor, stock)
        SELECT id, sku, name, coalesce(description, ''), price_minor, coalesce(stock, 0)
        FROM import_lines WHERE n > $1 AND n <= $2 ORDER BY n
        RETURNING id, stock
    ), moved AS (
        INSERT INTO stock_movements (id, product_id, delta, reason) SELECT id, id, stock, $3 FROM added WHERE stock > 0
    )
    SELECT count(*) FROM added";

/// The stock that a movement starts from is the one under the lock.
const CHANGE: &str = concat!(
    "WITH locked AS MATERIALIZED (
         SELECT p.id, p.stock AS before, l.id AS movement_id, l.name, l.price_minor,
                coalesce(l.description, p.description) AS description, coalesce(l.stock, p.stock) AS stock
         FROM import_changes l JOIN products p ON p.id = l.product_id AND p.sku = l.sku AND p.deleted_at IS NULL
         WHERE ",
    differs!(),
    " ORDER BY p.id FOR NO KEY UPDATE OF p
     ), changed AS (
         UPDATE products p SET name = l.name, description = l.description, price_minor = l.price_minor, stock = l.stock,
                updated_at = now(), version = version + 1
         FROM locked l WHERE p.id = l.id
         RETURNING l.movement_id, p.id, p.stock - l.before AS delta
     ), moved AS (
         INSERT INTO stock_movements (id, product_id, delta, reason)
         SELECT movement_id, id, delta, $1 FROM changed WHERE delta <> 0
     )
     SELECT count(*), (SELECT count(*) FROM import_changes) FROM changed"
);

/// How far the writing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// New products are being added.
    Adding {
        /// Of so many lines of the file, those are there that are new.
        lines: u64,
        /// So many lines there are.
        of: u64,
    },
    /// Products that were there are being changed.
    Changing,
}

impl Staging {
    /// Writes all that is staged, and leaves the transaction open for [`Written::end`]. Whoever drops this in between
    /// has changed nothing: the connection breaks, and PostgreSQL rolls back.
    ///
    /// # Errors
    /// When another import is being written, a product has got a sku of the file, or the database refuses.
    pub async fn write(mut self, reason: &Reason, progress: &mut impl FnMut(Progress)) -> Result<Written, ImportError> {
        let mut tries = 1;
        loop {
            match self.transact(reason, progress).await {
                // With an edit of the catalogue that has brought the same new words for the search.
                Err(ImportError::Database(error)) if db::is_deadlock(&error) && tries < db::DEADLOCK_TRIES => {
                    tracing::warn!(%error, "an import met a deadlock, trying again");
                    self.connection.execute("ROLLBACK").await?;
                    tries += 1;
                }
                Err(error) => return Err(error),
                Ok((id, first)) => {
                    let Self { connection, summary, .. } = self;
                    return Ok(Written { connection, summary, id, first });
                }
            }
        }
    }

    async fn transact(
        &mut self,
        reason: &Reason,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(TransactionId, Option<ProductId>), ImportError> {
        let connection = &mut self.connection;
        connection.execute("BEGIN").await?;
        let alone: bool =
            sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended('products import', 0))")
                .fetch_one(&mut *connection)
                .await?;
        if !alone {
            return Err(ImportError::Busy);
        }
        self.summary.inserted = add(connection, progress).await?;
        progress(Progress::Changing);
        let (changed, known): (i64, i64) = sqlx::query_as(CHANGE).bind(reason).fetch_one(&mut *connection).await?;
        self.summary.updated = u64::try_from(changed).unwrap_or_default();
        self.summary.unchanged = u64::try_from(known.saturating_sub(changed)).unwrap_or_default();
        Ok(sqlx::query_as(
            "SELECT pg_current_xact_id()::text::bigint, (SELECT id FROM import_lines ORDER BY n LIMIT 1)",
        )
        .fetch_one(connection)
        .await?)
    }
}

async fn add(connection: &mut PgConnection, progress: &mut impl FnMut(Progress)) -> Result<u64, sqlx::Error> {
    let last: Option<i64> = sqlx::query_scalar("SELECT max(n) FROM import_lines").fetch_one(&mut *connection).await?;
    let last = last.unwrap_or(0);
    let unsigned = |number: i64| u64::try_from(number).unwrap_or_default();
    let (mut done, mut added) = (0, 0);
    if last > 0 {
        progress(Progress::Adding { lines: 0, of: unsigned(last) });
    }
    while done < last {
        let until = last.min(done.saturating_add(AT_ONCE));
        let count: i64 =
            sqlx::query_scalar(ADD).bind(done).bind(until).bind(INITIAL_STOCK).fetch_one(&mut *connection).await?;
        added += unsigned(count);
        done = until;
        progress(Progress::Adding { lines: unsigned(done), of: unsigned(last) });
    }
    Ok(added)
}

/// An import that is written, but for the commit.
pub struct Written {
    connection: PgConnection,
    summary: Summary,
    id: TransactionId,
    first: Option<ProductId>,
}

impl Written {
    /// Ends the transaction, and says what became of the lines. This must not be cancelled.
    ///
    /// # Errors
    /// When the database refuses. If the answer to the commit got lost, it is found out from another connection.
    pub async fn end(mut self, pool: &PgPool, ending: Ending) -> Result<Summary, ImportError> {
        let command = match ending {
            Ending::Commit => "COMMIT",
            Ending::DryRun => "ROLLBACK",
        };
        let answer = self.connection.execute(command).await.map(|_| ());
        match ending {
            Ending::Commit => db::outcome(pool, answer, self.id, &self).await.map_err(|error| match error {
                CommitError::RolledBack(error) => ImportError::Database(error),
                CommitError::Unknown(error) => ImportError::Unknown(error),
            })?,
            Ending::DryRun => answer?,
        }
        // It is done either way.
        let _ = self.connection.close().await;
        Ok(Summary { dry_run: ending == Ending::DryRun, ..self.summary })
    }
}

impl Witness for Written {
    async fn is_written(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        // Where nothing was added there is no row that says so, and nobody can tell.
        let Some(first) = self.first else { return Err(sqlx::Error::RowNotFound) };
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM products WHERE id = $1)").bind(first).fetch_one(pool).await
    }
}
