//! What must be so of an export, whatever is in it: see the module of the same name of `shop_common`.

use super::{Line, MAX_QUANTITY, Row, read};

const HEADER: &[&str] =
    &["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"];

/// A line that can be sold is in bounds, and is the same line when it is written and read again. The bytes are an export,
/// or the lines below the header of one.
pub fn csv_line(data: &[u8]) {
    check(data);
    let mut export = HEADER.join(",").into_bytes();
    export.push(b'\n');
    export.extend_from_slice(data);
    check(&export);
}

fn check(export: &[u8]) {
    let mut rows = Vec::new();
    // What was read before the fault counts too.
    let _ = read(export, &mut rows);
    for Row { invoice, line } in rows {
        let Ok(line) = line else { continue };
        assert!(!invoice.is_empty() && invoice.bytes().all(|digit| digit.is_ascii_digit()), "{invoice:?}");
        assert!((1..=MAX_QUANTITY).contains(&line.quantity.into()), "{line:?}");
        assert!(line.price.is_sign_positive() && !line.price.is_zero() && line.price.scale() <= 2, "{line:?}");
        let again = written(&invoice, &line).and_then(|export| {
            let mut rows = Vec::new();
            read(&*export, &mut rows).ok()?;
            rows.pop()
        });
        assert_eq!(again.map(|row| (row.invoice, row.line)), Some((invoice, Ok(line))));
    }
}

fn written(invoice: &str, line: &Line) -> Option<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER).ok()?;
    let (quantity, price) = (line.quantity.to_string(), line.price.to_string());
    let at = line.at.format("%Y-%m-%dT%H:%M:%S").to_string();
    let customer = line.customer.as_deref().unwrap_or_default();
    writer.write_record([invoice, &line.code, &line.description, &quantity, &at, &price, customer]).ok()?;
    writer.into_inner().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_of_csv_lines_hold() {
        shop_testkit::seeds::feed("csv_line", super::csv_line);
    }
}
