//! Reading files: their headers, their lines and what is wrong with them.

use std::slice;

use proptest::prelude::*;

use super::fuzzing::written;
use super::line::{Line, Row};
use super::reader::Reader;
use super::{FileError, HeaderError, Refusal};
use crate::products::{Description, ProductName, Stock};

/// What was read: the number of each line, and what it came to.
fn rows(file: impl AsRef<[u8]>) -> Vec<(u64, Row)> {
    let mut reader = Reader::open(file.as_ref()).unwrap();
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

fn products(file: impl AsRef<[u8]>) -> Vec<Line> {
    let product = |(line, row)| match row {
        Row::Product(product) => Some(product),
        Row::PassedOver => None,
        Row::Refused(fault) => panic!("line {line}: {fault:?}"),
    };
    rows(file).into_iter().filter_map(product).collect()
}

/// The lines that were refused, with their columns.
fn refusals(file: &str) -> Vec<(u64, Option<&'static str>)> {
    let refused = |(line, row)| match row {
        Row::Refused(fault) => {
            let Refusal { line, column, reason } = fault.on(line);
            assert!(!reason.is_empty());
            Some((line, column))
        }
        _ => None,
    };
    rows(file).into_iter().filter_map(refused).collect()
}

fn header(line: &str) -> HeaderError {
    match Reader::open(line.as_bytes()).err() {
        Some(FileError::Header(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn line(sku: &str, name: &str, description: Option<&str>, price: &str, stock: Option<i64>) -> Line {
    Line {
        sku: Some(sku).filter(|sku| !sku.is_empty()).map(|sku| sku.parse().unwrap()),
        name: ProductName::try_from(name.to_owned()).unwrap(),
        description: description.map(|text| Description::try_from(text.to_owned()).unwrap()),
        price: price.parse().unwrap(),
        stock: stock.map(|pieces| Stock::try_from(pieces).unwrap()),
    }
}

#[test]
fn columns_may_be_in_any_order_and_what_is_missing_is_not_said() {
    let mug = line("MUG", "Mug", Some("Blue."), "1.50", Some(3));
    assert_eq!(products("sku,name,description,price,stock\nMUG,Mug,Blue.,1.50,3\n"), slice::from_ref(&mug));
    assert_eq!(products(" Stock ,PRICE,name,Description,sku\n3,1.5,Mug,Blue.,MUG"), [mug]);
    assert_eq!(products("name,price\n Mug ,2\n"), [line("", "Mug", None, "2", None)]);
    assert_eq!(products("name,price,sku,description\nMug,2,,\n"), [line("", "Mug", Some(""), "2", None)]);
}

#[test]
fn a_header_that_is_none_is_refused_by_the_name_of_its_column() {
    assert_eq!(header(""), HeaderError::Empty);
    assert_eq!(header("\n\r\n"), HeaderError::Empty);
    assert_eq!(header("name,price,colour"), HeaderError::Unknown { name: "colour".to_owned() });
    assert_eq!(header("name;price"), HeaderError::Unknown { name: "name;price".to_owned() });
    assert_eq!(header("sku,price"), HeaderError::Missing("name"));
    assert_eq!(header("name,Price,price"), HeaderError::Twice("price"));
    assert_eq!(header("Handle,Variant SKU,Title"), HeaderError::Missing("Variant Price"));
    let utf16: Vec<u8> = "name,price".encode_utf16().flat_map(|unit| (unit | 0xff00).to_le_bytes()).collect();
    assert!(matches!(Reader::open(&*utf16).err(), Some(FileError::Header(HeaderError::NotUtf8))));
}

#[test]
fn a_byte_order_mark_any_line_end_and_quoted_line_breaks_are_no_part_of_a_product() {
    let mug = line("", "Mug", Some("One\r\ntwo, \"three\""), "2", None);
    let lf = "name,description,price\nMug,\"One\r\ntwo, \"\"three\"\"\",2\n";
    for file in [
        lf.to_owned(),
        format!("\u{feff}{lf}"),
        format!("\u{feff}\n\n{lf}\n\n"),
        lf.replace("\n", "\r\n").replace("\r\r", "\r"),
    ] {
        assert_eq!(products(&file), slice::from_ref(&mug), "{file:?}");
    }
}

#[test]
fn a_line_has_the_number_that_an_editor_shows() {
    let numbers = |file: &str| rows(file).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
    let file = "name,price\n\na,1\n\"b\nb\",2\nc,3\n\n\nd,4";
    assert_eq!(numbers(file), [3, 4, 6, 9]);
    assert_eq!(numbers(&file.replace('\n', "\r\n")), [3, 4, 6, 9]);
    // Longer than what is read at once.
    let long = "name,price,description\r\n".to_owned() + &format!("a,1,\"{}\r\n\"\r\n", "x".repeat(999)).repeat(500);
    assert_eq!(numbers(&long), (0..500).map(|n| 2 + 2 * n).collect::<Vec<u64>>());
}

#[test]
fn what_is_wrong_with_a_line_is_named_by_its_column_and_the_others_are_read() {
    let file = "sku,name,description,price,stock\n\
                 A,Mug,,1,1\n\
                a b ,Mug,,1,1\n\
                B,,,1,1\n\
                B,Mug,,0,1\n\
                B,Mug,,1.999,1\n\
                B,Mug,,1,-1\n\
                B,Mug,,1,\n\
                B,Mug,1,1\n\
                B,Mug,,1,1,\n";
    let too_long = format!("B,Mug,{},1,1\n", "x".repeat(5001));
    let expected = [
        (3, Some("sku")),
        (4, Some("name")),
        (5, Some("price")),
        (6, Some("price")),
        (7, Some("stock")),
        (8, Some("stock")),
        (9, None),
        (10, None),
        (11, Some("description")),
    ];
    assert_eq!(refusals(&(file.to_owned() + &too_long)), expected);
    assert_eq!(
        rows(file.to_owned() + "C,Mug,,1,1").iter().filter(|(_, row)| matches!(row, Row::Product(_))).count(),
        2
    );
}

#[test]
fn what_is_not_utf8_is_refused_by_line_and_a_quote_that_is_not_closed_ends_the_reading() {
    let [(2, Row::Refused(fault)), (3, Row::Product(_))] = &rows(b"name,price\nMug\xff,1\nMug,1\n")[..] else {
        panic!()
    };
    assert_eq!(fault.column, Some("name"));

    let endless = "name,price\nMug,1\n\"Mug,1\n".to_owned() + &"Mug,1\n".repeat(400_000);
    let mut reader = Reader::open(endless.as_bytes()).unwrap();
    assert!(matches!(reader.next(), Ok(Some((2, Row::Product(_))))));
    assert!(matches!(reader.next(), Err(FileError::TooLong { line: 3 })));
}

const SHOPIFY: &str = "\
Handle,Title,Body (HTML),Vendor,Tags,Published,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Variant SKU,Variant Inventory Qty,Variant Price,Image Src,Image Position,Status
shirt,Shirt,<p>Soft.</p>,Acme,a,true,Size,M,Colour,Red,SH-M-R,5,19.90,https://example.com/1.jpg,1,active
shirt,,,,,,,L,,Red,SH-L-R,0,21.00,https://example.com/2.jpg,2,
shirt,,,,,,,,,,,,,https://example.com/3.jpg,3,
mug,Mug,,Acme,,true,Title,Default Title,,,,,7.00,,,active
bowl,Bowl,Blue.,Acme,,false,Title,Default Title,,,BOWL,4,9.00,,,draft
bowl,,,,,,,,,,,,,https://example.com/4.jpg,2,
";

#[test]
fn each_variant_of_a_shopify_export_is_a_product_and_pictures_and_drafts_are_passed_over() {
    let expected = [
        line("SH-M-R", "Shirt – M / Red", Some("<p>Soft.</p>"), "19.90", Some(5)),
        line("SH-L-R", "Shirt – L / Red", Some("<p>Soft.</p>"), "21", Some(0)),
        line("", "Mug", Some(""), "7", None),
    ];
    assert_eq!(products(SHOPIFY), expected);
    assert_eq!(rows(SHOPIFY).iter().filter(|(_, row)| *row == Row::PassedOver).count(), 3);
}

#[test]
fn a_shopify_row_that_is_no_product_is_refused_by_shopifys_own_columns() {
    let file = "Handle,Title,Option1 Value,Variant SKU,Variant Price,Variant Inventory Qty\n\
                a,Apron,S,A-S,12,-2\n\
                a,,M,A-M,0,1\n\
                b,,M,B,1,1\n\
                a,,L,A-\u{e9},1,1\n";
    let expected =
        [(2, Some("Variant Inventory Qty")), (3, Some("Variant Price")), (4, Some("Handle")), (5, Some("Variant SKU"))];
    assert_eq!(refusals(file), expected);
}

fn any_line() -> impl Strategy<Value = Line> {
    let sku = prop::option::of("[!-~]([ -~]{0,20}[!-~])?");
    let text = r#"[ -~\n\r\t",éß中😀\u{feff}]{0,40}"#;
    (sku, "[!-~][ -~\\n\\r\",é]{0,30}", text, 1..=100_000_000_000_i64, 0..=1_000_000_000_000_i64).prop_map(
        |(sku, name, description, minor, stock)| {
            let price = format!("{}.{:02}", minor / 100, minor % 100);
            line(&sku.unwrap_or_default(), &name, Some(&description), &price, Some(stock))
        },
    )
}

proptest! {
    #[test]
    fn what_an_export_writes_an_import_reads_and_it_is_written_the_same_again(lines in prop::collection::vec(any_line(), 0..20)) {
        let file = written(&lines);
        let read = products(&file);
        prop_assert_eq!(&read, &lines);
        prop_assert_eq!(written(&read), file);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(data in prop::collection::vec(any::<u8>(), 0..300)) {
        super::fuzzing::import_line(&data);
    }
}
