//! Compares the stock of every product with what the orders should have left of it, to the unit.

use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::sleep;

use crate::place::Placed;
use crate::plan::Plan;
use crate::progress;
use crate::settle::{Settled, holds_stock};
use crate::shop::Shop;
use crate::wire::Failure;

const READERS: usize = 8;
/// A product may be served from a cache for a moment after its last change, so a difference is looked at again.
const LOOKS: usize = 4;
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// A product whose stock is not what it should be.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) code: String,
    pub(crate) expected: i64,
    pub(crate) found: Result<i64, Failure>,
}

pub(crate) async fn check(
    shop: &Shop,
    plan: &Plan,
    goods: &[String],
    placed: &Placed,
    settled: &Settled,
) -> Vec<Wrong> {
    let expected = expected(plan, placed, settled);
    let mut suspects: Vec<usize> = (0..goods.len()).collect();
    let mut wrong = Vec::new();
    for look in 0..LOOKS {
        if look > 0 {
            sleep(BETWEEN_LOOKS).await;
        }
        let bar = progress::bar("checking stock", suspects.len());
        let found: Vec<(usize, Result<i64, Failure>)> = stream::iter(suspects)
            .map(|product| async move { (product, shop.stock(&goods[product]).await) })
            .buffer_unordered(READERS)
            .inspect(|_| bar.inc(1))
            .collect()
            .await;
        wrong = found.into_iter().filter(|(product, found)| found.as_ref() != Ok(&expected[*product])).collect();
        suspects = wrong.iter().map(|(product, _)| *product).collect();
        if suspects.is_empty() {
            break;
        }
    }
    wrong.sort_by_key(|(product, _)| *product);
    wrong
        .into_iter()
        .map(|(product, found)| Wrong { code: plan.products[product].code.clone(), expected: expected[product], found })
        .collect()
}

/// What was there in the beginning, less the units of all orders that hold theirs.
fn expected(plan: &Plan, placed: &Placed, settled: &Settled) -> Vec<i64> {
    let mut units: Vec<i64> =
        plan.products.iter().map(|product| i64::try_from(product.stock).unwrap_or(i64::MAX)).collect();
    for (order, cart) in placed.orders(plan) {
        if holds_stock(settled.status(&order.id)) {
            for item in &cart.items {
                units[item.product] -= i64::from(item.quantity);
            }
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rust_decimal::Decimal;

    use super::*;
    use crate::export::{Line, Row};
    use crate::place::Fate;
    use crate::shop::Order;

    /// Three invoices of 1, 2 and 4 units of one product; every order is named after its units.
    fn left_of(statuses: &[(&str, &str)]) -> i64 {
        let row = |units: u32| Row {
            invoice: units.to_string(),
            line: Ok(Line {
                code: "A".to_owned(),
                description: String::new(),
                quantity: units,
                price: Decimal::ONE,
                at: chrono::NaiveDateTime::default(),
                customer: None,
            }),
        };
        let plan = Plan::of([1, 2, 4].map(row).into(), usize::MAX);
        let fate =
            |id: &str| Fate { answer: Ok(Order { id: id.to_owned(), total: Decimal::ONE }), latency: Duration::ZERO };
        let placed =
            Placed { fates: BTreeMap::from([(0, fate("1")), (1, fate("2")), (2, fate("4"))]), took: Duration::ZERO };
        let statuses = statuses.iter().map(|(id, status)| ((*id).to_owned(), (*status).to_owned())).collect();
        expected(&plan, &placed, &Settled { statuses, ..Settled::default() })[0]
    }

    #[test]
    fn units_of_orders_that_came_to_nothing_are_back_in_stock() {
        assert_eq!(left_of(&[("1", "COMPLETED"), ("2", "COMPLETED"), ("4", "COMPLETED")]), 0);
        assert_eq!(left_of(&[("1", "FAILED"), ("2", "CANCELLED"), ("4", "COMPLETED")]), 3);
        assert_eq!(left_of(&[("1", "COMPLETED"), ("2", "COMPLETED"), ("4", "REFUNDED")]), 4);
    }

    #[test]
    fn an_order_that_is_still_open_or_unseen_keeps_its_units() {
        assert_eq!(left_of(&[("1", "PENDING"), ("2", "PROCESSING")]), 0);
    }
}
