//! Export: the catalogue as the CSV file that [`super::import`] takes, in the order in which products were made.
//!
//! Imported into an empty shop and exported again, it is the same file, byte for byte.

use std::io::{self, Write};

use futures::TryStreamExt;
use sqlx::{Executor, PgPool};

use super::Sku;
use super::import::COLUMNS;
use crate::money::Money;

/// Why a catalogue was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be written.
    #[error("it cannot be written: {0}")]
    Io(#[from] io::Error),
    /// The database refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What of a product is exported.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Row {
    pub(super) sku: Option<Sku>,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) price_minor: Money,
    pub(super) stock: i64,
}

/// Writes all products that are not deleted, as they are at one moment, one by one as they come. Gives how many there were.
///
/// # Errors
/// When they cannot be written, or the database refuses.
pub async fn export(pool: &PgPool, file: impl Write) -> Result<u64, ExportError> {
    let mut transaction = pool.begin().await?;
    // Whoever reads may be slow.
    transaction.execute("SET LOCAL statement_timeout = 0").await?;
    let mut file = File::begin(file)?;
    let mut rows = sqlx::query_as::<_, Row>(
        "SELECT sku, name, description, price_minor, stock FROM products WHERE deleted_at IS NULL ORDER BY id",
    )
    .fetch(&mut *transaction);
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        file.write(&row)?;
        count += 1;
    }
    file.end()?;
    Ok(count)
}

/// A file of products.
pub(super) struct File<W: Write>(csv::Writer<W>);

impl<W: Write> File<W> {
    pub(super) fn begin(file: W) -> io::Result<Self> {
        let mut csv = csv::Writer::from_writer(file);
        csv.write_record(COLUMNS).map_err(failed)?;
        Ok(Self(csv))
    }

    pub(super) fn write(&mut self, row: &Row) -> io::Result<()> {
        let (price, stock) = (row.price_minor.to_string(), row.stock.to_string());
        let sku = row.sku.as_ref().map(Sku::as_str).unwrap_or_default();
        self.0.write_record([sku, &row.name, &row.description, &price, &stock]).map_err(failed)
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writing fails only because of what is written to.
fn failed(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
