//! What counts as a problem, and what does not.

use std::collections::HashMap;

use rust_decimal::Decimal;

use super::*;
use crate::export::{Line, Reason, Row};
use crate::place::Fate;
use crate::shop::Order;
use crate::wire::Failure;

/// One sale of 2 × 1.50, and a cancellation.
fn plan() -> Plan {
    let line = Line {
        code: "A".to_owned(),
        description: "BOX".to_owned(),
        quantity: 2,
        price: Decimal::new(150, 2),
        at: chrono::NaiveDateTime::default(),
        customer: None,
    };
    let row = |invoice: &str, line| Row { invoice: invoice.to_owned(), line };
    Plan::of(vec![row("1", Ok(line)), row("C2", Err(Reason::Cancellation))], usize::MAX)
}

fn outcome(answer: Result<Decimal, Failure>, status: &str) -> Outcome {
    let answer = answer.map(|total| Order { id: "order".to_owned(), total });
    Outcome {
        run_id: "run".to_owned(),
        placed: Placed {
            fates: BTreeMap::from([(0, Fate { answer, latency: Duration::from_millis(3) })]),
            took: Duration::from_secs(1),
        },
        settled: Settled { statuses: HashMap::from([("order".to_owned(), status.to_owned())]), ..Settled::default() },
        stock: Vec::new(),
        verified: Verified::Ok,
        resent: BTreeMap::from([("no answer".to_owned(), 7)]),
    }
}

fn right() -> Outcome {
    outcome(Ok(Decimal::new(3, 0)), "COMPLETED")
}

#[test]
fn a_sale_that_is_placed_charged_and_settled_is_no_problem() {
    assert!(right().problems(&plan()).is_empty(), "nor is what had to be sent again");
    for terminal in ["FAILED", "CANCELLED", "REFUNDED"] {
        assert!(outcome(Ok(Decimal::new(3, 0)), terminal).problems(&plan()).is_empty(), "{terminal}");
    }
}

#[test]
fn an_order_that_does_not_settle_is_a_problem() {
    for open in ["PENDING", "PROCESSING", "SOMETHING NEW"] {
        assert_eq!(
            outcome(Ok(Decimal::new(3, 0)), open).problems(&plan()),
            ["orders that did not settle: 1"],
            "{open}"
        );
    }
}

#[test]
fn an_accepted_order_that_no_list_shows_is_a_problem() {
    let lost = Outcome { settled: Settled::default(), ..right() };
    assert_eq!(lost.problems(&plan()), ["orders that did not settle: 1"]);
    assert_eq!(lost.statuses(&plan()), BTreeMap::from([("NOT LISTED", 1)]));
}

#[test]
fn a_sale_that_the_shop_refuses_is_a_problem_with_its_reason() {
    let failure = Failure { reason: "409 insufficient_stock".to_owned(), detail: String::new() };
    let refused = outcome(Err(failure), "");
    assert_eq!(refused.problems(&plan()), ["sales that the shop refused: 1"]);
    assert_eq!(refused.refused(), BTreeMap::from([("409 insufficient_stock", 1)]));
}

#[test]
fn a_sale_that_was_never_sent_is_a_problem() {
    let mut forgotten = right();
    forgotten.placed.fates.clear();
    assert_eq!(forgotten.problems(&plan()), ["sales that were never sent: 1"]);
}

#[test]
fn a_total_that_is_a_cent_off_is_a_problem() {
    assert_eq!(outcome(Ok(Decimal::new(301, 2)), "COMPLETED").problems(&plan()), ["orders with a wrong total: 1"]);
}

#[test]
fn wrong_stock_and_a_failed_verification_are_problems_and_a_skipped_one_is_not() {
    let wrong = Wrong { code: "A".to_owned(), expected: 0, found: Ok(-1) };
    assert_eq!(Outcome { stock: vec![wrong], ..right() }.problems(&plan()), ["products with a wrong stock: 1"]);
    let failed = Outcome { verified: Verified::Failed("I1".to_owned()), ..right() };
    assert_eq!(failed.problems(&plan()), ["failed verifications: 1"]);
    assert!(Outcome { verified: Verified::Skipped, ..right() }.problems(&plan()).is_empty());
}

#[test]
fn a_percentile_is_a_latency_that_was_measured() {
    let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
    assert_eq!(percentile(&sorted, 50), Some(Duration::from_millis(100)));
    assert_eq!(percentile(&sorted, 99), Some(Duration::from_millis(198)));
    assert_eq!(percentile(&sorted[..1], 99), Some(Duration::from_millis(1)));
    assert_eq!(percentile(&[], 50), None);
}
