//! Reads an export of order lines and says of each line what it sells, or why it cannot be sold.
//!
//! **A line can be sold** when it stands on a sale (its invoice number is digits only, so neither a cancellation `C…` nor an
//! adjustment `A…`), its quantity is above zero, and its price is above zero with at most two decimals. What the shop charged for
//! besides goods (postage, vouchers, manual items) is sold like goods: the stock code only has to be there. An invoice can be sold
//! when one of its lines can. Of the 16,459 invoices of the *Online Retail* months 2010-12 to 2011-08 these are 12,494.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use anyhow::Context;
use chrono::NaiveDateTime;
use csv::ByteRecord;
use flate2::bufread::MultiGzDecoder;
use rust_decimal::Decimal;

/// The most units one order line may ask for.
const MAX_QUANTITY: i64 = 1_000_000;

/// One row of the export: the invoice it belongs to, and what it sells.
#[derive(Debug)]
pub(crate) struct Row {
    /// Empty if the row names no invoice.
    pub(crate) invoice: String,
    pub(crate) line: Result<Line, Reason>,
}

/// A line that can be sold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    /// In capitals: exports write `85123a` and `85123A` for the same thing.
    pub(crate) code: String,
    pub(crate) description: String,
    pub(crate) quantity: u32,
    pub(crate) price: Decimal,
    pub(crate) at: NaiveDateTime,
    /// `None` is a guest.
    pub(crate) customer: Option<String>,
}

/// Why a line, or a whole invoice, is not sold; in the order in which it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    Cancellation,
    Adjustment,
    NotASale,
    NoStockCode,
    QuantityUnreadable,
    QuantityNotAboveZero,
    QuantityTooLarge,
    PriceUnreadable,
    PriceNotAboveZero,
    PriceTooFine,
    DateUnreadable,
    CustomerUnreadable,
    TooManyLines,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancellation => "cancellation (invoice C…)",
            Self::Adjustment => "adjustment (invoice A…)",
            Self::NotASale => "invoice number is not digits only",
            Self::NoStockCode => "no stock code",
            Self::QuantityUnreadable => "quantity cannot be read",
            Self::QuantityNotAboveZero => "quantity is not above zero",
            Self::QuantityTooLarge => "quantity is above 1,000,000",
            Self::PriceUnreadable => "price cannot be read",
            Self::PriceNotAboveZero => "price is not above zero",
            Self::PriceTooFine => "price has more than two decimals",
            Self::DateUnreadable => "date cannot be read",
            Self::CustomerUnreadable => "customer cannot be read",
            Self::TooManyLines => "more than 1,000 lines that can be sold",
        })
    }
}

/// Reads the files one after the other, as if they were one export.
pub(crate) fn read_files(paths: &[PathBuf]) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for path in paths {
        File::open(path)
            .map_err(anyhow::Error::from)
            .and_then(|file| read(BufReader::new(file), &mut rows))
            .with_context(|| format!("reading {}", path.display()))?;
    }
    Ok(rows)
}

/// Reads one export, gzipped or not: its first bytes tell.
fn read(mut source: impl BufRead, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    if source.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        read_csv(MultiGzDecoder::new(source), rows)
    } else {
        read_csv(source, rows)
    }
}

fn read_csv(source: impl Read, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source);
    let columns = Columns::of(reader.byte_headers()?)?;
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record)? {
        let field = |column: usize| text(record.get(column).unwrap_or_default());
        let invoice = field(columns.invoice);
        let line = line(&invoice, &columns, field);
        rows.push(Row { invoice, line });
    }
    Ok(())
}

/// Where in a record each field stands.
struct Columns {
    invoice: usize,
    code: usize,
    description: usize,
    quantity: usize,
    date: usize,
    price: usize,
    customer: usize,
}

impl Columns {
    fn of(header: &ByteRecord) -> anyhow::Result<Self> {
        let places: HashMap<String, usize> = header.iter().enumerate().map(|(at, name)| (text(name), at)).collect();
        let place = |name: &str| places.get(name).copied().with_context(|| format!("there is no column {name}"));
        Ok(Self {
            invoice: place("InvoiceNo")?,
            code: place("StockCode")?,
            description: place("Description")?,
            quantity: place("Quantity")?,
            date: place("InvoiceDate")?,
            price: place("UnitPrice")?,
            customer: place("CustomerID")?,
        })
    }
}

/// Exports come in UTF-8 or in Latin-1, where each byte is the character of that number.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_end().trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}').to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect::<String>().trim().to_owned(),
    }
}

fn line(invoice: &str, columns: &Columns, field: impl Fn(usize) -> String) -> Result<Line, Reason> {
    must_be_a_sale(invoice)?;
    Ok(Line {
        code: code(&field(columns.code))?,
        quantity: quantity(&field(columns.quantity))?,
        price: price(&field(columns.price))?,
        at: date(&field(columns.date))?,
        customer: customer(&field(columns.customer))?,
        description: field(columns.description),
    })
}

fn must_be_a_sale(invoice: &str) -> Result<(), Reason> {
    match invoice.bytes().next() {
        Some(b'C') => Err(Reason::Cancellation),
        Some(b'A') => Err(Reason::Adjustment),
        Some(_) if invoice.bytes().all(|b| b.is_ascii_digit()) => Ok(()),
        _ => Err(Reason::NotASale),
    }
}

fn code(text: &str) -> Result<String, Reason> {
    if text.is_empty() { Err(Reason::NoStockCode) } else { Ok(text.to_uppercase()) }
}

fn quantity(text: &str) -> Result<u32, Reason> {
    match text.parse::<i64>().map_err(|_| Reason::QuantityUnreadable)? {
        ..=0 => Err(Reason::QuantityNotAboveZero),
        units @ 1..=MAX_QUANTITY => u32::try_from(units).map_err(|_| Reason::QuantityTooLarge),
        _ => Err(Reason::QuantityTooLarge),
    }
}

fn price(text: &str) -> Result<Decimal, Reason> {
    let price = Decimal::from_str_exact(text).map_err(|_| Reason::PriceUnreadable)?.normalize();
    if price <= Decimal::ZERO {
        Err(Reason::PriceNotAboveZero)
    } else if price.scale() > 2 {
        Err(Reason::PriceTooFine)
    } else {
        Ok(price)
    }
}

fn date(text: &str) -> Result<NaiveDateTime, Reason> {
    ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%m/%d/%Y %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .ok_or(Reason::DateUnreadable)
}

/// A customer's number becomes part of an e-mail address, so it is plain; spreadsheets add `.0` to it.
fn customer(text: &str) -> Result<Option<String>, Reason> {
    let number = text.strip_suffix(".0").unwrap_or(text);
    if !number.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(Reason::CustomerUnreadable);
    }
    Ok(Some(number.to_ascii_lowercase()).filter(|number| !number.is_empty()))
}

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
#[cfg(test)]
mod tests;
