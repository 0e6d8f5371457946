//! What a plan makes of dirty lines, and of the shipped stretch of the real file.

use std::path::Path;

use chrono::NaiveDate;

use super::*;
use crate::export;

/// A line that can be sold, as terse as it goes.
fn line(code: &str, description: &str, quantity: u32, cents: i64, customer: Option<&str>) -> Result<Line, Reason> {
    Ok(Line {
        code: code.to_owned(),
        description: description.to_owned(),
        quantity,
        price: Decimal::new(cents, 2),
        at: NaiveDate::from_ymd_opt(2010, 12, 1).and_then(|day| day.and_hms_opt(8, 26, 0)).expect("a date"),
        customer: customer.map(str::to_owned),
    })
}

fn plan(rows: Vec<(&str, Result<Line, Reason>)>) -> Plan {
    limited(rows, usize::MAX)
}

fn limited(rows: Vec<(&str, Result<Line, Reason>)>, limit: usize) -> Plan {
    Plan::of(rows.into_iter().map(|(invoice, line)| Row { invoice: invoice.to_owned(), line }).collect(), limit)
}

fn slice() -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/slice.csv.gz");
    Plan::of(export::read_files(&[path]).expect("the shipped slice"), usize::MAX)
}

#[test]
fn every_invoice_is_a_cart_or_a_refusal() {
    let plan = plan(vec![
        ("1", line("A1", "BOX", 2, 250, Some("7"))),
        ("C2", Err(Reason::Cancellation)),
        ("3", Err(Reason::QuantityNotAboveZero)),
        ("3", Err(Reason::PriceNotAboveZero)),
        ("3", Err(Reason::PriceNotAboveZero)),
    ]);
    assert_eq!(plan.invoices.len(), 3);
    assert!(plan.invoices[0].planned.is_ok());
    assert_eq!(plan.invoices[1].planned, Err(Reason::Cancellation));
    assert_eq!(plan.invoices[2].planned, Err(Reason::PriceNotAboveZero), "what most of its lines lack");
    assert_eq!(plan.refused(), Reasons::from([(Reason::Cancellation, 1), (Reason::PriceNotAboveZero, 1)]));
    assert!(plan.left_out.is_empty(), "lines of refused invoices are no lines left out");
}

#[test]
fn an_invoice_is_sold_without_the_lines_that_cannot_be() {
    let plan = plan(vec![("1", line("A1", "BOX", 2, 250, None)), ("1", Err(Reason::PriceTooFine))]);
    assert_eq!(plan.carts().map(|(_, cart)| cart.items.len()).collect::<Vec<_>>(), [1]);
    assert_eq!(plan.left_out, Reasons::from([(Reason::PriceTooFine, 1)]));
    assert_eq!(plan.lines, 2);
}

#[test]
fn the_price_is_the_most_frequent_one_and_the_lowest_on_a_tie() {
    let plan = plan(vec![
        ("1", line("A", "X", 1, 300, None)),
        ("2", line("A", "X", 1, 200, None)),
        ("3", line("A", "X", 1, 300, None)),
        ("1", line("B", "X", 1, 900, None)),
        ("2", line("B", "X", 1, 800, None)),
    ]);
    let prices: Vec<Decimal> = plan.products.iter().map(|product| product.price).collect();
    assert_eq!(prices, [Decimal::new(300, 2), Decimal::new(800, 2)]);
}

#[test]
fn the_name_is_the_code_and_the_most_frequent_description() {
    let plan = plan(vec![
        ("1", line("85123A", "HEART", 1, 100, None)),
        ("2", line("85123A", "WHITE HEART", 1, 100, None)),
        ("3", line("85123A", "WHITE HEART", 1, 100, None)),
        ("4", line("NAMELESS", "", 1, 100, None)),
        ("5", line("LONG", &"é".repeat(300), 1, 100, None)),
    ]);
    let names: Vec<&str> = plan.products.iter().map(|product| product.name.as_str()).collect();
    assert_eq!(names[..2], ["85123A WHITE HEART", "NAMELESS"]);
    assert_eq!(names[2].chars().count(), 200);
}

#[test]
fn stock_is_all_that_is_asked_for() {
    let plan = plan(vec![
        ("1", line("A", "X", 1_000_000, 100, None)),
        ("1", line("A", "X", 5, 100, None)),
        ("2", line("A", "X", 7, 100, None)),
    ]);
    assert_eq!(plan.products.len(), 1);
    assert_eq!(plan.products[0].stock, 1_000_012);
}

#[test]
fn the_same_code_twice_in_an_invoice_stays_two_lines() {
    let plan = plan(vec![("1", line("A", "X", 2, 100, None)), ("1", line("A", "X", 3, 100, None))]);
    let (_, cart) = plan.carts().next().expect("one cart");
    assert_eq!(cart.items, [Item { product: 0, quantity: 2 }, Item { product: 0, quantity: 3 }]);
}

#[test]
fn totals_are_exact_and_charged_at_the_price_in_the_catalogue() {
    let plan = plan(vec![
        ("1", line("A", "X", 3, 10, None)),
        ("2", line("A", "X", 3, 10, None)),
        ("3", line("A", "X", 3, 20, None)),
    ]);
    let (_, cart) = plan.carts().nth(2).expect("three carts");
    assert_eq!(cart.exported_total, Decimal::new(60, 2));
    assert_eq!(plan.total(cart), Decimal::new(30, 2));
}

#[test]
fn the_lines_of_an_invoice_are_brought_together_from_afar() {
    let plan = plan(vec![
        ("1", line("A", "X", 1, 100, None)),
        ("2", line("A", "X", 1, 100, None)),
        ("1", line("B", "X", 1, 100, None)),
    ]);
    assert_eq!(plan.carts().map(|(_, cart)| cart.items.len()).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn a_limit_cuts_the_export_after_that_many_invoices() {
    let rows = || {
        vec![
            ("1", line("A", "X", 1, 100, None)),
            ("C2", Err(Reason::Cancellation)),
            ("3", line("B", "X", 1, 100, None)),
            ("1", line("A", "X", 4, 100, None)),
        ]
    };
    let plan = limited(rows(), 2);
    assert_eq!(plan.invoices.len(), 2);
    assert_eq!(
        plan.products.iter().map(|product| product.stock).collect::<Vec<_>>(),
        [5],
        "later lines of the first two count"
    );
}

#[test]
fn an_invoice_of_more_lines_than_the_shop_takes_is_refused_whole() {
    let rows = |count: usize| (0..count).map(|_| ("1", line("A", "X", 1, 100, None))).collect();
    assert!(plan(rows(1_000)).invoices[0].planned.is_ok());
    let too_many = plan(rows(1_001));
    assert_eq!(too_many.invoices[0].planned, Err(Reason::TooManyLines));
    assert!(too_many.products.is_empty());
}

#[test]
fn a_customers_invoices_share_a_lane_and_every_guest_has_one() {
    let plan = plan(vec![
        ("1", line("A", "X", 1, 100, Some("7"))),
        ("2", line("A", "X", 1, 100, None)),
        ("3", line("A", "X", 1, 100, Some("7"))),
        ("4", line("A", "X", 1, 100, None)),
        ("C5", Err(Reason::Cancellation)),
    ]);
    assert_eq!(plan.customers, [Some("7".to_owned()), None]);
    let mut lanes = plan.lanes();
    lanes.sort();
    assert_eq!(lanes, [vec![0, 2], vec![1], vec![3]]);
}

#[test]
fn rows_that_name_no_invoice_are_counted_apart() {
    let plan = plan(vec![("", Err(Reason::NotASale))]);
    assert_eq!((plan.strays, plan.invoices.len(), plan.lines), (1, 0, 0));
}

#[test]
fn the_shipped_slice_is_planned_to_the_line() {
    let plan = slice();
    assert_eq!((plan.invoices.len(), plan.lines, plan.strays), (80, 1_570, 0));
    assert_eq!(plan.carts().count(), 56);
    assert_eq!(
        plan.refused(),
        Reasons::from([(Reason::Cancellation, 16), (Reason::QuantityNotAboveZero, 6), (Reason::PriceNotAboveZero, 2)])
    );
    let sold: usize = plan.carts().map(|(_, cart)| cart.items.len()).sum();
    let unsold = plan.lines - sold;
    assert!(unsold > plan.left_out.values().sum(), "refused invoices have lines, too");
}

#[test]
fn the_shipped_slice_holds_every_kind_of_dirt_it_was_chosen_for() {
    let plan = slice();
    assert!(plan.customers.contains(&None), "guests");
    assert!(plan.left_out.contains_key(&Reason::PriceNotAboveZero), "a line left out of a sold invoice");
    assert!(plan.products.iter().any(|product| product.code == "POST"), "charges that are no goods");
    let twice = |cart: &Cart| {
        let mut products: Vec<usize> = cart.items.iter().map(|item| item.product).collect();
        products.sort_unstable();
        products.windows(2).any(|pair| pair[0] == pair[1])
    };
    assert!(plan.carts().any(|(_, cart)| twice(cart)), "a code twice in one invoice");
}

#[test]
fn the_stock_of_the_shipped_slice_is_used_up_by_its_carts() {
    let plan = slice();
    let mut left: Vec<u64> = plan.products.iter().map(|product| product.stock).collect();
    for (_, cart) in plan.carts() {
        for item in &cart.items {
            left[item.product] -= u64::from(item.quantity);
        }
    }
    assert!(left.iter().all(|&units| units == 0));
}
