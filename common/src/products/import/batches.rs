//! Reads and parses a file on a thread of its own, some thousand lines ahead of who writes them down.
//!
//! Reading may block for ever (a pipe that nobody writes to), and who waits here must be able to be told to stop.

use std::io::{self, Read};
use std::thread;

use tokio::sync::mpsc;

use super::line::{Line, Row};
use super::reader::Reader;
use super::{FileError, Refusal};
use crate::id::ProductId;

/// How large a batch is, more or less.
const BYTES: usize = 1024 * 1024;
/// How many lines of a batch are refused, at most.
const REFUSALS: usize = 1000;
/// Batches that are ready before they are asked for.
const AHEAD: usize = 2;
/// Fields of a row of `import_lines`, see [`super::staging`].
const FIELDS: i16 = 8;

/// What some lines have come to.
#[derive(Default)]
pub(super) struct Batch {
    /// Those that are products, as `COPY … (FORMAT binary)` takes them.
    pub(super) rows: Vec<u8>,
    /// How many lines there were.
    pub(super) read: u64,
    /// How many of them are no products of their own.
    pub(super) passed_over: u64,
    /// Those that are refused.
    pub(super) refusals: Vec<Refusal>,
    /// What this file calls the sku.
    pub(super) sku_column: &'static str,
}

/// Begins to read a file.
pub(super) fn start(file: impl Read + Send + 'static) -> Result<mpsc::Receiver<Result<Batch, FileError>>, io::Error> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    thread::Builder::new().name("import".to_owned()).spawn(move || {
        let mut batches = match Batches::open(file) {
            Ok(batches) => batches,
            Err(error) => return drop(sender.blocking_send(Err(error))),
        };
        while let Some(batch) = batches.next().transpose() {
            // Nobody takes any more: the import was given up.
            let ends = batch.is_err();
            if sender.blocking_send(batch).is_err() || ends {
                return;
            }
        }
    })?;
    Ok(receiver)
}

struct Batches<R> {
    reader: Reader<R>,
    read: u64,
}

impl<R: Read> Batches<R> {
    fn open(file: R) -> Result<Self, FileError> {
        Ok(Self { reader: Reader::open(file)?, read: 0 })
    }

    /// The next lines; `None` when there are no more.
    fn next(&mut self) -> Result<Option<Batch>, FileError> {
        let mut batch = Batch { sku_column: self.reader.sku_column(), ..Batch::default() };
        while batch.rows.len() < BYTES && batch.refusals.len() < REFUSALS {
            let Some((line, row)) = self.reader.next()? else { break };
            batch.read += 1;
            self.read += 1;
            match row {
                Row::Product(product) => write(&mut batch.rows, self.read, line, &product),
                Row::PassedOver => batch.passed_over += 1,
                Row::Refused(fault) => batch.refusals.push(fault.on(line)),
            }
        }
        if batch.read == 0 {
            return Ok(None);
        }
        if !batch.rows.is_empty() {
            batch.rows.splice(..0, HEADER);
            batch.rows.extend_from_slice(&END);
        }
        Ok(Some(batch))
    }
}

/// <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format": a signature, no flags, no extension.
const HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: [u8; 2] = (-1_i16).to_be_bytes();

/// Writes a row: how many fields, and of each its length and its bytes.
fn write(rows: &mut Vec<u8>, ordinal: u64, line: u64, product: &Line) {
    rows.extend_from_slice(&FIELDS.to_be_bytes());
    let number = |number: i64| number.to_be_bytes();
    for position in [ordinal, line] {
        field(rows, Some(&number(i64::try_from(position).unwrap_or(i64::MAX))));
    }
    field(rows, Some(ProductId::new().0.as_bytes()));
    field(rows, product.sku.as_ref().map(|sku| sku.as_str().as_bytes()));
    field(rows, Some(product.name.as_str().as_bytes()));
    field(rows, product.description.as_ref().map(|description| description.as_str().as_bytes()));
    field(rows, Some(&number(product.price.money().minor())));
    field(rows, product.stock.map(|stock| number(stock.pieces())).as_ref().map(<[u8; 8]>::as_slice));
}

fn field(rows: &mut Vec<u8>, bytes: Option<&[u8]>) {
    // A line has 1 MiB at most, so a length always fits.
    let length = bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    rows.extend_from_slice(&length.to_be_bytes());
    rows.extend_from_slice(bytes.unwrap_or_default());
}
