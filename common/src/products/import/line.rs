//! A line of a file as a product, in the same types as the API's.

use std::str::FromStr;

use csv::ByteRecord;

use crate::products::{Description, Price, ProductName, Sku, Stock};

/// A product as a line of a file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// What the shop's own people call it.
    pub(super) sku: Option<Sku>,
    /// What it is called.
    pub(super) name: ProductName,
    /// What it is; nothing where the file does not say.
    pub(super) description: Option<Description>,
    /// What one costs.
    pub(super) price: Price,
    /// How many there are; nothing where the file does not say.
    pub(super) stock: Option<Stock>,
}

/// What a line of a file comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// A product.
    Product(Line),
    /// Nothing that is a product of its own, or on sale.
    PassedOver,
    /// Something else than a product.
    Refused(Fault),
}

impl From<Result<Line, Fault>> for Row {
    fn from(line: Result<Line, Fault>) -> Self {
        line.map_or_else(Self::Refused, Self::Product)
    }
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// In which column; nothing if it is the line as a whole.
    pub(super) column: Option<&'static str>,
    /// What it is.
    pub(super) reason: String,
}

/// A column of a file: its name, and which one it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) at: usize,
}

impl Column {
    /// What is wrong in this column.
    pub(super) fn fault(self, reason: impl ToString) -> Fault {
        Fault { column: Some(self.name), reason: reason.to_string() }
    }

    /// What a line has here.
    pub(super) fn text(self, record: &ByteRecord) -> Result<&str, Fault> {
        str::from_utf8(record.get(self.at).unwrap_or_default()).map_err(|_| self.fault("it is not written in UTF-8"))
    }

    /// The same, as what it must be.
    pub(super) fn parse<T: FromStr<Err: ToString>>(self, record: &ByteRecord) -> Result<T, Fault> {
        self.text(record)?.parse().map_err(|error: T::Err| self.fault(error.to_string()))
    }

    /// The same, where there may be nothing.
    pub(super) fn parse_if_any<T: FromStr<Err: ToString>>(self, record: &ByteRecord) -> Result<Option<T>, Fault> {
        if self.text(record)?.is_empty() { Ok(None) } else { self.parse(record).map(Some) }
    }

    /// The same, of what is made of a whole text.
    pub(super) fn convert<T: TryFrom<String, Error: ToString>>(self, text: String) -> Result<T, Fault> {
        T::try_from(text).map_err(|error| self.fault(error.to_string()))
    }
}
