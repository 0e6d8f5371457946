//! The columns of a file: which there are, and by them whose file it is.

use csv::ByteRecord;

use super::line::{Column, Fault, Line, Row};
use super::shopify::Shopify;

/// The columns of the shop's own files, in the order in which an export has them.
pub(in crate::products) const COLUMNS: [&str; 5] = ["sku", "name", "description", "price", "stock"];

/// Why a first line is no header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There is none.
    #[error("the file is empty; its first line must name the columns: {}", COLUMNS.join(","))]
    Empty,
    /// It is not text.
    #[error("the header is not written in UTF-8; save the file as CSV in UTF-8")]
    NotUtf8,
    /// It names a column that nobody knows.
    #[error("there is no column `{name}`; the columns are {}, separated by commas", COLUMNS.join(","))]
    Unknown {
        /// What it is called there.
        name: String,
    },
    /// It lacks a column.
    #[error("the column `{0}` is missing")]
    Missing(&'static str),
    /// It names a column twice.
    #[error("the column `{0}` is there twice")]
    Twice(&'static str),
}

/// Whose file it is.
pub(super) enum Layout {
    /// The shop's own.
    Own(Own),
    /// An export of Shopify.
    Shopify(Shopify),
}

impl Layout {
    /// Reads the header.
    pub(super) fn of(header: &ByteRecord) -> Result<Self, HeaderError> {
        let names: Vec<&str> = header
            .iter()
            .map(|name| str::from_utf8(name).map(str::trim))
            .collect::<Result<_, _>>()
            .map_err(|_| HeaderError::NotUtf8)?;
        let header = Header(names);
        Ok(if header.has("Handle") && (header.has("Variant Price") || header.has("Variant SKU")) {
            Self::Shopify(Shopify::of(&header)?)
        } else {
            Self::Own(Own::of(&header)?)
        })
    }

    /// What a line comes to.
    pub(super) fn row(&mut self, record: &ByteRecord) -> Row {
        match self {
            Self::Own(own) => own.line(record).into(),
            Self::Shopify(shopify) => shopify.row(record),
        }
    }

    /// What this file calls the sku.
    pub(super) fn sku_column(&self) -> &'static str {
        match self {
            Self::Own(_) => COLUMNS[0],
            Self::Shopify(_) => super::shopify::SKU,
        }
    }
}

/// The names of the columns. Capitals do not matter.
pub(super) struct Header<'a>(Vec<&'a str>);

impl Header<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// The column of that name, if there is one.
    pub(super) fn find(&self, name: &'static str) -> Result<Option<Column>, HeaderError> {
        let mut all = self.0.iter().enumerate().filter(|(_, known)| known.eq_ignore_ascii_case(name));
        let first = all.next().map(|(at, _)| Column { name, at });
        if all.next().is_some() { Err(HeaderError::Twice(name)) } else { Ok(first) }
    }

    /// The column of that name.
    pub(super) fn need(&self, name: &'static str) -> Result<Column, HeaderError> {
        self.find(name)?.ok_or(HeaderError::Missing(name))
    }
}

/// The columns of the shop's own file. Those that may be missing say nothing then.
pub(super) struct Own {
    sku: Option<Column>,
    name: Column,
    description: Option<Column>,
    price: Column,
    stock: Option<Column>,
}

impl Own {
    fn of(header: &Header<'_>) -> Result<Self, HeaderError> {
        let unknown = header.0.iter().find(|name| !COLUMNS.iter().any(|known| known.eq_ignore_ascii_case(name)));
        match unknown {
            None if header.0.is_empty() => return Err(HeaderError::Empty),
            None => {}
            Some(name) => return Err(HeaderError::Unknown { name: name.chars().take(80).collect() }),
        }
        let [sku, name, description, price, stock] = COLUMNS;
        Ok(Self {
            sku: header.find(sku)?,
            name: header.need(name)?,
            description: header.find(description)?,
            price: header.need(price)?,
            stock: header.find(stock)?,
        })
    }

    fn line(&self, record: &ByteRecord) -> Result<Line, Fault> {
        let description = match self.description {
            None => None,
            Some(column) => Some(column.convert(column.text(record)?.to_owned())?),
        };
        Ok(Line {
            sku: self.sku.map(|column| column.parse_if_any(record)).transpose()?.flatten(),
            name: self.name.convert(self.name.text(record)?.to_owned())?,
            description,
            price: self.price.parse(record)?,
            stock: self.stock.map(|column| column.parse(record)).transpose()?,
        })
    }
}
