//! Prepares the shop for a replay: creates its products and registers its customers, all new in every run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};

use crate::plan::Plan;
use crate::progress;
use crate::shop::{Account, Shop};

const PASSWORD: &str = "Replay-1234!";
/// Hashing passwords is slow on purpose, so more at a time would only be turned away.
const REGISTRATIONS: usize = 16;

/// What tells this run from all others, made of the time: letters and digits only.
pub(crate) fn run_id() -> String {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_micros();
    format!("{micros:x}")
}

/// Creates every product with its stock; answers their ids in the order of the plan.
pub(crate) async fn products(shop: &Shop, admin: &Account, plan: &Plan, clients: usize) -> anyhow::Result<Vec<String>> {
    let bar = progress::bar("creating products", plan.products.len());
    stream::iter(&plan.products)
        .map(|product| async {
            let id = shop.create_product(admin, &product.name, product.price, product.stock).await;
            bar.inc(1);
            id.with_context(|| format!("creating the product {}", product.name))
        })
        .buffered(clients)
        .try_collect()
        .await
}

/// Registers every customer; answers their accounts in the order of the plan.
pub(crate) async fn customers(shop: &Shop, plan: &Plan, run: &str) -> anyhow::Result<Vec<Account>> {
    let bar = progress::bar("registering customers", plan.customers.len());
    stream::iter(&plan.customers)
        .map(|customer| async {
            let (mailbox, name) = match customer {
                Some(number) => (format!("c{number}"), format!("Customer {number}")),
                None => ("guest".to_owned(), "Guest".to_owned()),
            };
            let account = shop.register(&format!("{mailbox}.{run}@replay.example"), PASSWORD, &name).await;
            bar.inc(1);
            account.with_context(|| format!("registering {name}"))
        })
        .buffered(REGISTRATIONS)
        .try_collect()
        .await
}
