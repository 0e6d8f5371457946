//! Reads a file line by line, with the number of each.

use std::io::{self, Read};

use csv::ByteRecord;

use super::columns::{HeaderError, Layout};
use super::line::{Fault, Row};
use super::{FileError, Refusal};

/// The most bytes that a line may have. A quote that is not closed makes a line of the rest of the file.
const LONGEST: usize = 1024 * 1024;
/// Bytes that are read at once.
const BLOCK: usize = 64 * 1024;

/// A file of products.
pub(super) struct Reader<R> {
    csv: csv::Reader<Source<R>>,
    record: ByteRecord,
    columns: usize,
    layout: Layout,
}

impl<R: Read> Reader<R> {
    /// Reads the header. A byte order mark before it is no part of it.
    pub(super) fn open(file: R) -> Result<Self, FileError> {
        let source = Source { file, block: Vec::new(), start: 0, allowance: LONGEST, too_long: false };
        let mut csv =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(BLOCK).from_reader(source);
        let mut record = ByteRecord::new();
        if !read(&mut csv, &mut record)? {
            return Err(HeaderError::Empty.into());
        }
        let layout = Layout::of(&record)?;
        Ok(Self { csv, columns: record.len(), record, layout })
    }

    /// The next line and its number; `None` at the end. Lines with nothing on them are no lines.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Row)>, FileError> {
        if !read(&mut self.csv, &mut self.record)? {
            return Ok(None);
        }
        let line = start_of(&self.csv, &self.record);
        let row = if self.record.len() == self.columns {
            self.layout.row(&self.record)
        } else {
            let reason = format!("it has {} fields, the header has {}", self.record.len(), self.columns);
            Row::Refused(Fault { column: None, reason })
        };
        Ok(Some((line, row)))
    }

    /// What this file calls the sku.
    pub(super) fn sku_column(&self) -> &'static str {
        self.layout.sku_column()
    }
}

impl Fault {
    pub(super) fn on(self, line: u64) -> Refusal {
        Refusal { line, column: self.column, reason: self.reason }
    }
}

fn read<R: Read>(csv: &mut csv::Reader<Source<R>>, record: &mut ByteRecord) -> Result<bool, FileError> {
    csv.get_mut().allowance = LONGEST;
    let begins = csv.position().line();
    csv.read_byte_record(record).map_err(|error| {
        if csv.get_ref().too_long {
            return FileError::TooLong { line: begins };
        }
        match error.into_kind() {
            csv::ErrorKind::Io(error) => FileError::Io(error),
            other => FileError::Io(io::Error::other(format!("{other:?}"))),
        }
    })
}

/// The line on which a record begins. `csv` says where the one before has ended, and that is not the same where lines end with
/// CR and LF (it ends with the CR), or have nothing on them. So this counts back from the end.
fn start_of<R: Read>(csv: &csv::Reader<Source<R>>, record: &ByteRecord) -> u64 {
    let end = csv.position();
    let inside = record.as_slice().iter().filter(|byte| **byte == b'\n').count();
    let terminator = end.byte().checked_sub(1).and_then(|last| csv.get_ref().byte(last)) == Some(b'\n');
    let breaks = u64::try_from(inside).unwrap_or(u64::MAX).saturating_add(u64::from(terminator));
    end.line().saturating_sub(breaks)
}

/// A file, of which the last block is kept, and of which only so much is given until the next line is asked for.
struct Source<R> {
    file: R,
    block: Vec<u8>,
    start: u64,
    allowance: usize,
    too_long: bool,
}

impl<R> Source<R> {
    /// A byte of the last block, by its place in the file.
    fn byte(&self, place: u64) -> Option<u8> {
        let within = usize::try_from(place.checked_sub(self.start)?).ok()?;
        self.block.get(within).copied()
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.allowance == 0 {
            self.too_long = true;
            return Err(io::Error::other("the line is too long"));
        }
        let read = loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.start = self.start.saturating_add(u64::try_from(self.block.len()).unwrap_or(u64::MAX));
        self.block.clear();
        self.block.extend_from_slice(buffer.get(..read).unwrap_or_default());
        self.allowance = self.allowance.saturating_sub(read);
        Ok(read)
    }
}
