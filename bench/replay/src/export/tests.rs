//! What is read from an export, and what dirt is turned away.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

fn rows(csv: &[u8]) -> Vec<Row> {
    let mut rows = Vec::new();
    read(csv, &mut rows).expect("a readable export");
    rows
}

fn only(row: &str) -> Result<Line, Reason> {
    rows(format!("{HEADER}{row}\n").as_bytes()).remove(0).line
}

fn reason(row: &str) -> Reason {
    only(row).expect_err(row)
}

#[test]
fn a_clean_line_is_read_as_it_stands() {
    let line = only("536365,85123A,WHITE HANGING HEART,6,2010-12-01T08:26:00,2.55,17850,United Kingdom");
    let expected = Line {
        code: "85123A".to_owned(),
        description: "WHITE HANGING HEART".to_owned(),
        quantity: 6,
        price: Decimal::new(255, 2),
        at: chrono::NaiveDate::from_ymd_opt(2010, 12, 1).and_then(|day| day.and_hms_opt(8, 26, 0)).expect("a date"),
        customer: Some("17850".to_owned()),
    };
    assert_eq!(line, Ok(expected));
}

#[test]
fn cancellations_adjustments_and_other_papers_are_no_sales() {
    assert_eq!(reason("C536379,D,Discount,-1,2010-12-01T09:41:00,27.50,14527,UK"), Reason::Cancellation);
    assert_eq!(reason("A563185,B,Adjust bad debt,1,2011-08-12T14:50:00,11062.06,,UK"), Reason::Adjustment);
    assert_eq!(reason("X1,85123A,HEART,1,2010-12-01T08:26:00,2.55,17850,UK"), Reason::NotASale);
    assert_eq!(reason(",85123A,HEART,1,2010-12-01T08:26:00,2.55,17850,UK"), Reason::NotASale);
}

#[test]
fn quantity_is_a_whole_number_from_one_to_a_million() {
    let with =
        |quantity: &str| only(&format!("1,10002,X,{quantity},2010-12-01T08:26:00,2.55,,UK")).map(|line| line.quantity);
    assert_eq!(with("1"), Ok(1));
    assert_eq!(with("1000000"), Ok(1_000_000));
    assert_eq!(with("0"), Err(Reason::QuantityNotAboveZero));
    assert_eq!(with("-24"), Err(Reason::QuantityNotAboveZero));
    assert_eq!(with("1000001"), Err(Reason::QuantityTooLarge));
    assert_eq!(with("1.5"), Err(Reason::QuantityUnreadable));
    assert_eq!(with(""), Err(Reason::QuantityUnreadable));
}

#[test]
fn price_is_above_zero_with_at_most_two_decimals() {
    let with = |price: &str| only(&format!("1,10002,X,1,2010-12-01T08:26:00,{price},,UK")).map(|line| line.price);
    assert_eq!(with("2.55"), Ok(Decimal::new(255, 2)));
    assert_eq!(with("2.550"), Ok(Decimal::new(255, 2)), "a zero at the end is no third decimal");
    assert_eq!(with("13541.33"), Ok(Decimal::new(1_354_133, 2)));
    assert_eq!(with("0"), Err(Reason::PriceNotAboveZero));
    assert_eq!(with("-11062.06"), Err(Reason::PriceNotAboveZero));
    assert_eq!(with("0.001"), Err(Reason::PriceTooFine));
    assert_eq!(with("free"), Err(Reason::PriceUnreadable));
}

#[test]
fn postage_and_vouchers_are_sold_like_goods() {
    for code in ["POST", "DOT", "M", "BANK CHARGES", "gift_0001_20"] {
        assert!(only(&format!("1,{code},X,1,2010-12-01T08:26:00,2.55,,UK")).is_ok(), "{code}");
    }
    assert_eq!(reason("1, ,X,1,2010-12-01T08:26:00,2.55,,UK"), Reason::NoStockCode);
}

#[test]
fn a_code_in_small_letters_is_the_same_code() {
    assert_eq!(only("1,85123a ,X,1,2010-12-01T08:26:00,2.55,,UK").map(|line| line.code), Ok("85123A".to_owned()));
}

#[test]
fn a_line_without_a_customer_is_a_guests() {
    let with =
        |customer: &str| only(&format!("1,10002,X,1,2010-12-01T08:26:00,2.55,{customer},UK")).map(|line| line.customer);
    assert_eq!(with(""), Ok(None));
    assert_eq!(with("17850.0"), Ok(Some("17850".to_owned())), "a spreadsheet made a float of it");
    assert_eq!(with("x@y"), Err(Reason::CustomerUnreadable));
}

#[test]
fn dates_are_read_as_iso_and_as_the_original_spreadsheet_writes_them() {
    let with = |date: &str| only(&format!("1,10002,X,1,{date},2.55,,UK")).map(|line| line.at.to_string());
    assert_eq!(with("2011-01-04T10:23:00"), Ok("2011-01-04 10:23:00".to_owned()));
    assert_eq!(with("1/4/2011 10:23"), Ok("2011-01-04 10:23:00".to_owned()));
    assert_eq!(with("yesterday"), Err(Reason::DateUnreadable));
}

#[test]
fn a_row_that_breaks_off_is_a_reason_and_not_the_end() {
    let rows = rows(format!("{HEADER}1,10002\n1,10002,X,1,2010-12-01T08:26:00,2.55,,UK\n").as_bytes());
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].line, Err(Reason::QuantityUnreadable));
    assert!(rows[1].line.is_ok());
}

#[test]
fn descriptions_may_be_latin_1_and_hold_quotes_and_commas() {
    let mut csv = HEADER.as_bytes().to_vec();
    csv.extend_from_slice(b"1,10002,\" BOX, 12\"\" \xa35 \",1,2010-12-01T08:26:00,2.55,,UK\n");
    let line = rows(&csv).remove(0).line.expect("a line");
    assert_eq!(line.description, "BOX, 12\" £5");
}

#[test]
fn columns_are_found_by_name_behind_a_byte_order_mark() {
    let csv = "\u{feff}InvoiceNo,Quantity,StockCode,Description,InvoiceDate,UnitPrice,CustomerID\n1,7,10002,X,2010-12-01T08:26:00,2.55,\n";
    assert_eq!(rows(csv.as_bytes()).remove(0).line.map(|line| line.quantity), Ok(7));
}

#[test]
fn white_space_behind_a_byte_order_mark_is_white_space() {
    let line = only("1,\u{feff} 10002,X,1,2010-12-01T08:26:00,2.55,,UK");
    assert_eq!(line.map(|line| line.code), Ok("10002".to_owned()));
}

#[test]
fn a_file_without_the_columns_is_refused_by_name() {
    let problem = read("a,b\n1,2\n".as_bytes(), &mut Vec::new()).expect_err("no export");
    assert_eq!(problem.to_string(), "there is no column InvoiceNo");
}

#[test]
fn a_gzipped_export_reads_the_same() {
    let csv = format!("{HEADER}1,10002,X,1,2010-12-01T08:26:00,2.55,,UK\n");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(csv.as_bytes()).expect("memory");
    assert_eq!(rows(&gzip.finish().expect("memory"))[0].line, rows(csv.as_bytes())[0].line);
}

#[test]
fn a_cut_off_gzip_file_is_an_error_and_not_a_short_export() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(HEADER.repeat(50).as_bytes()).expect("memory");
    let whole = gzip.finish().expect("memory");
    assert!(read(&whole[..whole.len() - 9], &mut Vec::new()).is_err());
}
