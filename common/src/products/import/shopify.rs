//! Shopify's export of products: which of its rows are products here, and what of them is taken.
//!
//! A product there has a row for each of its variants and of its further pictures, and only the first of them has its
//! title. Here each variant is a product.

use csv::ByteRecord;

use super::columns::{Header, HeaderError};
use super::line::{Column, Fault, Line, Row};

/// What Shopify calls the sku.
pub(super) const SKU: &str = "Variant SKU";
/// The one value of the one option of a product that has no variants.
const NO_VARIANT: &str = "Default Title";
/// States of a product in which it is not on sale.
const NOT_ON_SALE: [&str; 2] = ["draft", "archived"];

/// An export of Shopify, and the product whose rows are being read.
pub(super) struct Shopify {
    columns: Columns,
    product: Option<Product>,
}

/// The columns that are taken.
struct Columns {
    handle: Column,
    title: Column,
    body: Option<Column>,
    status: Option<Column>,
    options: Vec<Column>,
    sku: Option<Column>,
    price: Column,
    stock: Option<Column>,
}

/// What the first row of a product says for all of them.
struct Product {
    handle: String,
    title: String,
    body: Option<String>,
    on_sale: bool,
}

impl Shopify {
    pub(super) fn of(header: &Header<'_>) -> Result<Self, HeaderError> {
        let mut options = Vec::new();
        for name in ["Option1 Value", "Option2 Value", "Option3 Value"] {
            options.extend(header.find(name)?);
        }
        let columns = Columns {
            handle: header.need("Handle")?,
            title: header.need("Title")?,
            body: header.find("Body (HTML)")?,
            status: header.find("Status")?,
            options,
            sku: header.find(SKU)?,
            price: header.need("Variant Price")?,
            stock: header.find("Variant Inventory Qty")?,
        };
        Ok(Self { columns, product: None })
    }

    /// What a row comes to.
    pub(super) fn row(&mut self, record: &ByteRecord) -> Row {
        match self.read(record) {
            Ok(Some(line)) => Row::Product(line),
            Ok(None) => Row::PassedOver,
            Err(fault) => Row::Refused(fault),
        }
    }

    fn read(&mut self, record: &ByteRecord) -> Result<Option<Line>, Fault> {
        let columns = &self.columns;
        if !columns.title.text(record)?.is_empty() {
            // If it cannot be read, its other rows are nobody's.
            self.product = None;
            self.product = Some(columns.product(record)?);
        }
        let handle = columns.handle.text(record)?;
        let product = self.product.as_ref().filter(|product| product.handle == handle).ok_or_else(|| {
            columns.handle.fault("the row with the title of this product is not before it, or cannot be read")
        })?;
        if product.on_sale && columns.is_variant(record)? {
            columns.variant(product, record).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl Columns {
    /// The product that begins with a row.
    fn product(&self, record: &ByteRecord) -> Result<Product, Fault> {
        let status = self.status.map(|column| column.text(record)).transpose()?.unwrap_or_default();
        Ok(Product {
            handle: self.handle.text(record)?.to_owned(),
            title: self.title.text(record)?.to_owned(),
            body: self.body.map(|column| column.text(record).map(str::to_owned)).transpose()?,
            on_sale: !NOT_ON_SALE.iter().any(|state| state.eq_ignore_ascii_case(status)),
        })
    }

    /// Whether a row is a variant, and not only another picture.
    fn is_variant(&self, record: &ByteRecord) -> Result<bool, Fault> {
        for column in self.options.iter().chain(&self.sku).chain([&self.price]) {
            if !column.text(record)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn variant(&self, product: &Product, record: &ByteRecord) -> Result<Line, Fault> {
        let description = match (self.body, &product.body) {
            (Some(column), Some(body)) => Some(column.convert(body.clone())?),
            _ => None,
        };
        Ok(Line {
            sku: self.sku.map(|column| column.parse_if_any(record)).transpose()?.flatten(),
            name: self.title.convert(self.name(&product.title, record)?)?,
            description,
            price: self.price.parse(record)?,
            stock: self.stock.map(|column| column.parse_if_any(record)).transpose()?.flatten(),
        })
    }

    /// `Title – Red / M`, or the title alone where there is nothing to choose.
    fn name(&self, title: &str, record: &ByteRecord) -> Result<String, Fault> {
        let mut chosen = Vec::new();
        for column in &self.options {
            chosen.push(column.text(record)?);
        }
        chosen.retain(|value| !value.is_empty());
        Ok(match chosen.as_slice() {
            [] | [NO_VARIANT] => title.to_owned(),
            chosen => format!("{title} – {}", chosen.join(" / ")),
        })
    }
}
