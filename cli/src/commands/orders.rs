//! `shopctl orders`: what customers have ordered.

mod cancel;
mod list;
mod refund;
mod show;
mod watch;

use shop_common::id::OrderId;
use shop_common::orders::Order;

use crate::args::Format;
use crate::args::orders::OrdersCommand;
use crate::exit::{Exit, Failure};
use crate::output;

/// `shopctl orders …`.
pub(crate) async fn run(command: OrdersCommand) -> Result<(), Failure> {
    match command {
        OrdersCommand::List(args) => list::list(&args).await,
        OrdersCommand::Show(args) => show::show(&args).await,
        OrdersCommand::Cancel(args) => cancel::cancel(&args).await,
        OrdersCommand::Refund(args) => refund::request(&args).await,
        OrdersCommand::Watch(args) => watch::watch(&args).await,
    }
}

/// There is no such order.
fn not_found(order: OrderId) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no order {order}")).next("list them with `shopctl orders list`")
}

/// An order in a line.
fn print_line(format: Format, order: &Order) -> Result<(), Failure> {
    output::one(format, order, |order| {
        let (refund, restock) = order
            .refund
            .as_ref()
            .map_or(("-", "-"), |refund| (refund.status.as_str(), if refund.restock { "yes" } else { "no" }));
        output::table(
            ["ORDER", "STATUS", "REFUND", "RESTOCK", "TOTAL"],
            vec![[
                order.id.to_string(),
                order.status.as_str().to_owned(),
                refund.to_owned(),
                restock.to_owned(),
                order.total.to_string(),
            ]],
        )
    })?;
    Ok(())
}
