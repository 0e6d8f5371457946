//! `shopctl orders cancel`: an order that is not paid yet is given up, as its customer can.

use shop_common::db::Ending;
use shop_common::events::Announcer;
use shop_common::id::OrderId;
use shop_common::orders::Order;
use shop_common::orders::cancel::{CancelError, cancel_of_anybody};
use shop_common::orders::status::OrderStatus;

use super::{not_found, print_line};
use crate::args::orders::OrdersCancelArgs;
use crate::exit::{Exit, Failure};
use crate::shop::{Shop, database};
use crate::{ask, output};

/// Cancels an order, as `POST /orders/{id}/cancel` does. It is rehearsed first, so that nobody is asked in vain.
pub(crate) async fn cancel(args: &OrdersCancelArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let announcer = Announcer::new(shop.redis()?);
    let cancel = async |ending| {
        cancel_of_anybody(&shop.pool, &announcer, args.order, ending).await.map_err(|error| failure(args.order, error))
    };
    let order = cancel(Ending::DryRun).await?;
    if order.status == OrderStatus::Cancelled {
        output::note("it was cancelled before; nothing was done now");
        return print_line(args.shop.output, &order);
    }
    let Order { id, status, total, currency, .. } = &order;
    let what = format!("order {id}, {} of {total} {}", status.as_str(), currency.code());
    let deed = format!("This cancels {what}: its payment fails, and its pieces go back into stock.");
    match ask::consent(&shop.pool, &args.consent, &deed).await? {
        Ending::DryRun => print_line(args.shop.output, &order),
        Ending::Commit => print_line(args.shop.output, &cancel(Ending::Commit).await?),
    }
}

fn failure(order: OrderId, error: CancelError) -> Failure {
    let conflict = |next: String| Failure::new(Exit::Conflict, format!("{error}; nothing was done")).next(next);
    match error {
        CancelError::NotFound => not_found(order),
        CancelError::ChargeInFlight => conflict(format!(
            "`shopctl orders watch {order}` waits for its end; if it is paid then, `shopctl orders refund {order} --restock` (or --no-restock); if its job is dead, `shopctl jobs cancel`"
        )),
        CancelError::AlreadyEnded(OrderStatus::Completed) => conflict(format!(
            "a paid order is given back with `shopctl orders refund {order} --restock` (or --no-restock)"
        )),
        CancelError::AlreadyEnded(_) => conflict(format!("see what became of it with `shopctl orders show {order}`")),
        CancelError::Database(error) => database(error),
        CancelError::Unknown(_) | CancelError::Silent => Failure::new(Exit::Away, error)
            .next("give the command again: an order that is cancelled is not cancelled twice"),
    }
}
