//! What must be so of a file of products, whatever is in it: see [`crate::fuzzing`].

use super::line::{Line, Row};
use super::reader::Reader;
use crate::products::{Description, Stock, export};

/// The bytes are a file, or the lines below the header of one, the shop's or Shopify's. Each product that is read is
/// on a line behind the one before, and the same when an export has written it and it is read again.
pub fn import_line(data: &[u8]) {
    let headers = [
        "",
        "sku,name,description,price,stock\n",
        "Handle,Title,Body (HTML),Option1 Name,Option1 Value,Variant SKU,Variant Price,Variant Inventory Qty,Status\n",
    ];
    for header in headers {
        let mut file = header.as_bytes().to_vec();
        file.extend_from_slice(data);
        let products = read(&file);
        // What is not said (a stock, say) is said in an export.
        let products: Vec<Line> = products.into_iter().map(said).collect();
        assert_eq!(read(&written(&products)), products);
    }
}

/// The products of a file, until it cannot be read on.
pub(super) fn read(file: &[u8]) -> Vec<Line> {
    let Ok(mut reader) = Reader::open(file) else { return Vec::new() };
    let (mut products, mut before) = (Vec::new(), 1);
    while let Ok(Some((line, row))) = reader.next() {
        assert!(line >= before, "line {line} after line {before}");
        before = line;
        if let Row::Product(product) = row {
            products.push(product);
        }
    }
    products
}

/// As an export writes them.
pub(super) fn written(products: &[Line]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A vector takes everything.
    let Ok(mut file) = export::File::begin(&mut bytes) else { return Vec::new() };
    for product in products {
        let _ = file.write(&export::Row {
            sku: product.sku.clone(),
            name: product.name.as_str().to_owned(),
            description: product.description.as_ref().map(Description::as_str).unwrap_or_default().to_owned(),
            price_minor: product.price.money(),
            stock: product.stock.map_or(0, |stock| stock.pieces()),
        });
    }
    let _ = file.end();
    bytes
}

fn said(product: Line) -> Line {
    Line {
        description: Some(product.description.unwrap_or_default()),
        stock: product.stock.or_else(|| Stock::try_from(0).ok()),
        ..product
    }
}
