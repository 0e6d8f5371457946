//! `shopctl orders refund`: the whole of a paid order goes back.

use shop_common::db::Ending;
use shop_common::id::OrderId;
use shop_common::orders::Order;
use shop_common::orders::queries;
use shop_common::orders::refund::{self, NewRefund, RefundError, Requested};
use shop_common::orders::status::OrderStatus;

use super::{not_found, print_line};
use crate::args::orders::OrdersRefundArgs;
use crate::ask;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// Asks for the refund of an order, as `POST /orders/{id}/refund` does.
pub(crate) async fn request(args: &OrdersRefundArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let order = queries::find_of_anybody(&shop.pool, args.order)
        .await
        .map_err(database)?
        .ok_or_else(|| not_found(args.order))?;
    if order.refund.is_none() {
        // From here it is not to be refunded unasked, however far its payment comes in the meantime.
        if order.status != OrderStatus::Completed {
            return Err(failure(args.order, RefundError::NotRefundable(order.status)));
        }
        let stock = if args.restock { "its pieces go back into stock" } else { "the stock stays as it is" };
        let Order { id, total, currency, .. } = &order;
        let question = format!("This gives {total} {} of order {id} back; {stock}.", currency.code());
        if ask::consent(&shop.pool, &args.consent, &question).await? == Ending::DryRun {
            return print_line(args.shop.output, &order);
        }
    }
    let wanted = NewRefund {
        order: args.order,
        restock: args.restock,
        reason: args.reason.clone(),
        requested_by: None,
        request_id: None,
        trace: None,
    };
    let Requested { order, job } =
        refund::request(&shop.pool, wanted).await.map_err(|error| failure(args.order, error))?;
    match job {
        Some(job) => {
            shop.enqueue(&[job]).await;
            output::note(format!("job {job} gives the money back; `shopctl jobs show {job}` says how far it is"));
        }
        None => output::note("it was asked for before; nothing was done now"),
    }
    print_line(args.shop.output, &order)
}

fn failure(order: OrderId, error: RefundError) -> Failure {
    match error {
        RefundError::NotFound => not_found(order),
        RefundError::NotRefundable(_) => Failure::new(Exit::Conflict, format!("{error}; nothing was done"))
            .next("an order that is not charged yet is cancelled with `shopctl orders cancel`, or given up with `shopctl jobs cancel`"),
        RefundError::AlreadyRequested { .. } => Failure::new(Exit::Conflict, format!("{error}; nothing was done"))
            .next("correct the stock with `shopctl stock adjust` if that choice was wrong"),
        RefundError::Database(error) => database(error),
        RefundError::Unknown(_) | RefundError::Silent => Failure::new(Exit::Away, error)
            .next("give the command again: a refund that was asked for is not asked for twice"),
    }
}
