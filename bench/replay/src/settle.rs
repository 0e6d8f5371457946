//! Waits until every order that was accepted has come to its end, by asking as the customers do: with their list of orders.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep, timeout_at};

use crate::progress;
use crate::shop::{Account, Shop};
use crate::wire::Failure;

/// Customers who look at their lists at the same time.
const LOOKING: usize = 8;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// What the orders came to, as far as they did in time.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The status last seen, by order id; an order that no list ever showed is absent.
    pub(crate) statuses: HashMap<String, String>,
    pub(crate) took: Duration,
    /// What went wrong while asking, with counts.
    pub(crate) failures: BTreeMap<String, usize>,
}

impl Settled {
    pub(crate) fn status(&self, order: &str) -> &str {
        self.statuses.get(order).map_or("NOT LISTED", String::as_str)
    }
}

pub(crate) fn is_terminal(status: &str) -> bool {
    matches!(status, "COMPLETED" | "FAILED" | "CANCELLED" | "REFUNDED")
}

/// Whether an order of this status keeps the units it took.
pub(crate) fn holds_stock(status: &str) -> bool {
    !matches!(status, "FAILED" | "CANCELLED" | "REFUNDED")
}

/// Looks at the lists of all customers with open orders, again and again, until none is left or the time is over.
pub(crate) async fn wait(
    shop: &Shop,
    accounts: &[Arc<Account>],
    orders_by_customer: HashMap<usize, Vec<String>>,
    limit: Duration,
) -> Settled {
    let begun = Instant::now();
    let mut settled = Settled::default();
    let mut open: HashMap<usize, HashSet<String>> =
        orders_by_customer.into_iter().map(|(customer, orders)| (customer, orders.into_iter().collect())).collect();
    let bar = progress::bar("waiting for settlement", open.values().map(HashSet::len).sum());
    while !open.is_empty() {
        let look = look(shop, accounts, &mut open, &mut settled, &bar);
        if timeout_at(begun + limit, look).await.is_err() {
            break;
        }
        if !open.is_empty() {
            sleep(BETWEEN_LOOKS).await;
        }
    }
    settled.took = begun.elapsed();
    settled
}

/// One look at every list; what came to its end is taken out of the open orders.
async fn look(
    shop: &Shop,
    accounts: &[Arc<Account>],
    open: &mut HashMap<usize, HashSet<String>>,
    settled: &mut Settled,
    bar: &indicatif::ProgressBar,
) {
    let lists: Vec<(usize, HashSet<String>)> =
        open.iter().map(|(customer, orders)| (*customer, orders.clone())).collect();
    let mut seen = stream::iter(lists)
        .map(|(customer, wanted)| async move { (customer, statuses(shop, &accounts[customer], wanted).await) })
        .buffer_unordered(LOOKING);
    while let Some((customer, statuses)) = seen.next().await {
        let statuses = match statuses {
            Ok(statuses) => statuses,
            Err(failure) => {
                *settled.failures.entry(failure.reason).or_default() += 1;
                continue;
            }
        };
        if let Some(orders) = open.get_mut(&customer) {
            let before = orders.len();
            orders.retain(|order| !statuses.get(order).is_some_and(|status| is_terminal(status)));
            bar.inc(u64::try_from(before - orders.len()).unwrap_or_default());
        }
        settled.statuses.extend(statuses);
    }
    open.retain(|_, orders| !orders.is_empty());
}

/// The statuses of the wanted orders, from as many pages as it takes to meet them all.
async fn statuses(
    shop: &Shop,
    customer: &Account,
    mut wanted: HashSet<String>,
) -> Result<HashMap<String, String>, Failure> {
    let mut statuses = HashMap::new();
    for number in 0.. {
        let page = shop.orders(customer, number).await?;
        for listed in page.items {
            if wanted.remove(&listed.id) {
                statuses.insert(listed.id, listed.status);
            }
        }
        if wanted.is_empty() || !page.has_next_page {
            break;
        }
    }
    Ok(statuses)
}
