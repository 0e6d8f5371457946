//! `shopctl orders show`: all that is written down about an order.

use std::io;

use shop_common::orders::OrderItem;
use shop_common::orders::record::{self, CustomersOrder, OrderRecord, OrdersJob};
use shop_common::orders::refund::Refund;
use shop_common::orders::timeline::Entry;

use super::not_found;
use crate::args::orders::OrdersShowArgs;
use crate::commands::payments;
use crate::exit::Failure;
use crate::output;
use crate::shop::{Shop, database};

/// Shows one order.
pub(crate) async fn show(args: &OrdersShowArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let record = record::find(&shop.pool, args.order).await.map_err(database)?.ok_or_else(|| not_found(args.order))?;
    output::one(args.shop.output, &record, print)?;
    Ok(())
}

fn print(record: &OrderRecord) -> io::Result<()> {
    let OrderRecord { order: CustomersOrder { order, customer }, payment, jobs, timeline } = record;
    output::facts(&[
        ("id", order.id.to_string()),
        ("status", order.status.as_str().to_owned()),
        ("customer", format!("{} ({})", customer.email.as_str(), customer.id)),
        ("total", format!("{} {}", order.total, order.currency.code())),
        ("created", format!("{} UTC", output::time(&order.created_at))),
        ("updated", format!("{} UTC", output::time(&order.updated_at))),
        ("payment", payments::in_short(&payment.payment)),
        ("refund", output::or_dash(order.refund.as_ref().map(refund_in_short))),
    ])?;
    items(&order.order_items)?;
    self::jobs(jobs)?;
    payments::print_attempts(&payment.attempts)?;
    self::timeline(timeline)
}

fn refund_in_short(Refund { status, restock, reason, .. }: &Refund) -> String {
    let stock = if *restock { "with" } else { "without" };
    let reason = reason.as_ref().map(|reason| format!(": {}", reason.as_str())).unwrap_or_default();
    format!("{}, {stock} restocking{reason}", status.as_str())
}

fn items(items: &[OrderItem]) -> io::Result<()> {
    output::data("")?;
    let row = |item: &OrderItem| {
        [item.quantity.to_string(), item.price.to_string(), item.product.name.clone(), item.product.id.to_string()]
    };
    output::table(["QUANTITY", "PRICE", "PRODUCT", "ID"], items.iter().map(row).collect())
}

fn jobs(jobs: &[OrdersJob]) -> io::Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    output::data("")?;
    let row = |job: &OrdersJob| {
        [
            job.id.to_string(),
            job.kind.clone(),
            job.state.as_str().to_owned(),
            output::time(&job.run_at),
            output::or_dash(job.last_error.as_ref()),
        ]
    };
    output::table(["JOB", "KIND", "STATE", "RUN AT (UTC)", "LAST ERROR"], jobs.iter().map(row).collect())
}

fn timeline(timeline: &[Entry]) -> io::Result<()> {
    if timeline.is_empty() {
        return Ok(());
    }
    output::data("")?;
    let row = |entry: &Entry| {
        let error = entry.payment.as_ref().and_then(|payment| payment.error.as_ref());
        [
            entry.at.format("%F %T%.3f").to_string(),
            entry.r#type.to_owned(),
            entry.status.clone(),
            output::or_dash(error),
        ]
    };
    output::table(["AT (UTC)", "WHAT", "STATUS", "ERROR"], timeline.iter().map(row).collect())
}
