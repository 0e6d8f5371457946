//! Import: products from a CSV file, all of them or none, however many there are.
//!
//! A thread of its own reads and parses the file (`reader.rs`) into the same types as the API's. What is good goes
//! into a temporary table (`staging.rs`), some thousand lines at a time and each time in a transaction of its own, so
//! that nothing of the shop waits for a slow file. What is left to compare there, duplicates and products that are
//! there already, PostgreSQL compares. Then one transaction writes it all (`write.rs`).

mod batches;
mod columns;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod line;
mod reader;
mod shopify;
mod staging;
#[cfg(test)]
mod tests;
mod write;

use std::io;

use serde::Serialize;
use utoipa::ToSchema;

pub(super) use self::columns::COLUMNS;
pub use self::columns::HeaderError;
pub use self::staging::{Existing, Plan, Staging};
pub use self::write::{Progress, Written};

/// A line that is no product, or not one that can be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ImportRefusal)]
pub struct Refusal {
    /// Where it begins in the file; the header is on line 1.
    pub line: u64,
    /// Which column is at fault, as the file calls it; nothing if it is the line as a whole.
    pub column: Option<&'static str>,
    /// What is wrong with it.
    pub reason: String,
}

/// What became of the lines of a file. `read` is the sum of all that follow but `dryRun`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ImportSummary)]
pub struct Summary {
    /// Lines below the header.
    pub read: u64,
    /// New products.
    pub inserted: u64,
    /// Products that were there and are different now.
    pub updated: u64,
    /// Products that were there just so.
    pub unchanged: u64,
    /// Lines that were refused.
    pub refused: u64,
    /// Lines of a Shopify export that are no products of their own (pictures), or that are not on sale (drafts).
    pub passed_over: u64,
    /// Whether all of this was only tried.
    pub dry_run: bool,
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Its header is none that a file of products has.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A line does not end.
    #[error("line {line} has more than 1 MiB; is there a quote that is not closed?")]
    TooLong {
        /// Where it begins.
        line: u64,
    },
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read to its end.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is refused cannot be reported.
    #[error("the refused lines cannot be reported: {0}")]
    Report(io::Error),
    /// Another import is being written at this moment.
    #[error("another import is being written")]
    Busy,
    /// A product was given a sku of the file while this was going on.
    #[error("a product has got a sku of the file in the meantime")]
    SkuTaken,
    /// The database refused.
    #[error(transparent)]
    Database(sqlx::Error),
    /// The connection broke in the commit and nobody could say what became of it.
    #[error("it is not known whether the products were written: {0}")]
    Unknown(sqlx::Error),
}

impl From<sqlx::Error> for ImportError {
    fn from(error: sqlx::Error) -> Self {
        if super::queries::is_sku_taken(&error) { Self::SkuTaken } else { Self::Database(error) }
    }
}
