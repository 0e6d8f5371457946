//! The lines of a file in a temporary table, where they are compared with each other and with the catalogue.

use std::io::{self, Read};

use futures::TryStreamExt;
use sqlx::{Connection, Executor, PgConnection, PgPool};

use super::batches::{self, Batch};
use super::{FileError, ImportError, Refusal, Summary};

/// What becomes of lines whose sku a product has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// They are refused.
    Refuse,
    /// They change that product. A line without sku is refused: nobody could say which product it is.
    Update,
}

/// What an import would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Products that it would add.
    pub new: u64,
    /// Products that it would change.
    pub changed: u64,
    /// Products that are just so already.
    pub unchanged: u64,
}

/// The lines of a file, on their way into the catalogue. They are in temporary tables of a connection of their own,
/// and gone with it.
pub struct Staging {
    pub(super) connection: PgConnection,
    sku_column: &'static str,
    pub(super) summary: Summary,
}

/// An import takes the time that it takes, and waits for rows that orders have in hand. If whoever imports is gone,
/// PostgreSQL is to notice in the middle of a statement.
const SESSION: &str =
    "SET statement_timeout = 0; SET lock_timeout = '30s'; SET client_connection_check_interval = '1s'";

/// `n` counts the lines, and `line` is their number in the file (where some have ends that only `csv` takes for some, two have
/// the same). `id` becomes that of the product, and of the movement that its line makes: both are new.
const TABLES: &str = r#"
    CREATE TEMPORARY TABLE import_lines (
        n bigint NOT NULL, line bigint NOT NULL, id uuid NOT NULL, sku text COLLATE "C", name text NOT NULL, description text,
        price_minor bigint NOT NULL, stock bigint
    );
    CREATE TEMPORARY TABLE import_changes (
        product_id uuid NOT NULL, id uuid NOT NULL, sku text COLLATE "C" NOT NULL, name text NOT NULL, description text,
        price_minor bigint NOT NULL, stock bigint
    )"#;

/// Whether the product `p` is not what the line `l` says. What the file does not say stays as it is.
macro_rules! differs {
    () => {
        "((p.name, p.price_minor) IS DISTINCT FROM (l.name, l.price_minor)
          OR p.description IS DISTINCT FROM coalesce(l.description, p.description)
          OR p.stock IS DISTINCT FROM coalesce(l.stock, p.stock))"
    };
}
pub(super) use differs;

/// Takes those lines out of the table whose product another line before has.
const TAKE_OUT_REPEATED: &str = "
    WITH repeated AS (
        SELECT sku, min(n) AS first FROM import_lines WHERE sku IS NOT NULL GROUP BY sku HAVING count(*) > 1
    ), gone AS (
        DELETE FROM import_lines l USING repeated r JOIN import_lines f ON f.n = r.first
        WHERE l.sku = r.sku AND l.n > r.first RETURNING l.n, l.line, f.line AS first
    )
    SELECT line, format('line %s has the same', first) FROM gone ORDER BY n";

const TAKE_OUT_TAKEN: &str = "
    WITH gone AS (
        DELETE FROM import_lines l USING products p WHERE p.sku = l.sku AND p.deleted_at IS NULL RETURNING l.n, l.line
    )
    SELECT line, 'a product of the shop has it already' FROM gone ORDER BY n";

const TAKE_OUT_NAMELESS: &str = "
    WITH gone AS (DELETE FROM import_lines WHERE sku IS NULL RETURNING n, line)
    SELECT line, 'there is none, so it cannot be said which product to update' FROM gone ORDER BY n";

/// A stock that the file does not change is as if the file did not say it: what is sold until the writing stays sold.
const PUT_CHANGES_ASIDE: &str = "
    WITH known AS (
        DELETE FROM import_lines l USING products p WHERE p.sku = l.sku AND p.deleted_at IS NULL
        RETURNING p.id AS product_id, l.id, l.sku, l.name, l.description, l.price_minor, nullif(l.stock, p.stock)
    )
    INSERT INTO import_changes SELECT * FROM known";

impl Staging {
    /// Reads a file to its end, and tells of each line that cannot be read.
    ///
    /// # Errors
    /// When the file cannot be read to its end, a refusal cannot be told, or the database refuses.
    pub async fn read(
        pool: &PgPool,
        file: impl Read + Send + 'static,
        refused: &mut impl FnMut(Refusal) -> io::Result<()>,
    ) -> Result<Self, ImportError> {
        let mut batches = batches::start(file).map_err(FileError::Io)?;
        // Never given back to the pool: it has other limits, and tables.
        let mut connection = pool.acquire().await?.detach();
        connection.execute(SESSION).await?;
        connection.execute(TABLES).await?;
        let mut staging = Self { connection, sku_column: "sku", summary: Summary::default() };
        while let Some(batch) = batches.recv().await {
            let Batch { rows, read, passed_over, refusals, sku_column } = batch?;
            staging.sku_column = sku_column;
            staging.summary.read += read;
            staging.summary.passed_over += passed_over;
            if !rows.is_empty() {
                staging.copy(&rows).await?;
            }
            for refusal in refusals {
                staging.refuse(refusal, refused)?;
            }
        }
        staging.connection.execute("CREATE INDEX ON import_lines (n); ANALYZE import_lines").await?;
        Ok(staging)
    }

    async fn copy(&mut self, rows: &[u8]) -> Result<(), sqlx::Error> {
        let mut copy = self.connection.copy_in_raw("COPY import_lines FROM STDIN (FORMAT binary)").await?;
        copy.send(rows).await?;
        copy.finish().await?;
        Ok(())
    }

    /// Compares the lines with each other and with the catalogue, tells of each that cannot be taken, and says what those that
    /// are left would do. Nothing of the shop is locked, so this may not be so any more when it is done.
    ///
    /// # Errors
    /// When a refusal cannot be told, or the database refuses.
    pub async fn compare(
        &mut self,
        existing: Existing,
        refused: &mut impl FnMut(Refusal) -> io::Result<()>,
    ) -> Result<Plan, ImportError> {
        if existing == Existing::Update {
            self.take_out(TAKE_OUT_NAMELESS, refused).await?;
        }
        self.take_out(TAKE_OUT_REPEATED, refused).await?;
        match existing {
            Existing::Refuse => self.take_out(TAKE_OUT_TAKEN, refused).await?,
            Existing::Update => {
                self.connection.execute(PUT_CHANGES_ASIDE).await?;
                self.connection.execute("ANALYZE import_changes").await?;
            }
        }
        let (new, known, changed): (i64, i64, i64) = sqlx::query_as(concat!(
            "SELECT (SELECT count(*) FROM import_lines), (SELECT count(*) FROM import_changes),
                    (SELECT count(*) FROM import_changes l JOIN products p ON p.id = l.product_id WHERE ",
            differs!(),
            ")"
        ))
        .fetch_one(&mut self.connection)
        .await?;
        let count = |rows: i64| u64::try_from(rows).unwrap_or(0);
        Ok(Plan { new: count(new), changed: count(changed), unchanged: count(known.saturating_sub(changed)) })
    }

    /// Lines that were refused so far.
    pub fn refused(&self) -> u64 {
        self.summary.refused
    }

    /// Ends without having changed anything, and says what there was.
    pub async fn give_up(self) -> Summary {
        // It is gone either way.
        let _ = self.connection.close().await;
        self.summary
    }

    async fn take_out(
        &mut self,
        sql: &'static str,
        refused: &mut impl FnMut(Refusal) -> io::Result<()>,
    ) -> Result<(), ImportError> {
        let mut rows = sqlx::query_as::<_, (i64, String)>(sql).fetch(&mut self.connection);
        while let Some((line, reason)) = rows.try_next().await? {
            let line = u64::try_from(line).unwrap_or_default();
            self.summary.refused += 1;
            let refusal = Refusal { line, column: Some(self.sku_column), reason };
            refused(refusal).map_err(ImportError::Report)?;
        }
        Ok(())
    }

    fn refuse(
        &mut self,
        refusal: Refusal,
        refused: &mut impl FnMut(Refusal) -> io::Result<()>,
    ) -> Result<(), ImportError> {
        self.summary.refused += 1;
        refused(refusal).map_err(ImportError::Report)
    }
}
