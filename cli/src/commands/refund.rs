//! `shopctl orders refund`: the whole of a paid order goes back.

use shop_common::db::Ending;
use shop_common::orders::Order;
use shop_common::orders::queries;
use shop_common::orders::refund::{self, NewRefund, RefundError, Requested};
use shop_common::orders::status::OrderStatus;

use crate::args::Format;
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
        .ok_or_else(|| failure(RefundError::NotFound))?;
    // Where nothing can happen, nobody need be asked: the answer is the same.
    if order.status == OrderStatus::Completed && order.refund.is_none() {
        let stock = if args.restock { "its pieces go back into stock" } else { "the stock stays as it is" };
        let Order { id, total, currency, .. } = &order;
        let question = format!("This gives {total} {} of order {id} back; {stock}.", currency.code());
        if ask::consent(&shop.pool, &args.consent, &question).await? == Ending::DryRun {
            return print(args.shop.output, &order);
        }
    }
    let wanted = NewRefund {
        order: args.order,
        restock: args.restock,
        reason: args.reason.clone(),
        requested_by: None,
        request_id: None,
    };
    let Requested { order, job } = refund::request(&shop.pool, wanted).await.map_err(failure)?;
    match job {
        Some(job) => {
            shop.enqueue(&[job]).await;
            output::note(format!("job {job} gives the money back; `shopctl jobs show {job}` says how far it is"));
        }
        None => output::note("it was asked for before; nothing was done now"),
    }
    print(args.shop.output, &order)
}

fn print(format: Format, order: &Order) -> Result<(), Failure> {
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

fn failure(error: RefundError) -> Failure {
    match error {
        RefundError::NotFound => Failure::new(Exit::NotFound, error),
        RefundError::NotRefundable(_) => Failure::new(Exit::Conflict, format!("{error}; nothing was done"))
            .next("an order that is not charged yet can be cancelled by its customer, or given up with `shopctl jobs dead discard`"),
        RefundError::AlreadyRequested { .. } => Failure::new(Exit::Conflict, format!("{error}; nothing was done"))
            .next("correct the stock with `shopctl stock adjust` if that choice was wrong"),
        RefundError::Database(error) => database(error),
        RefundError::Unknown(_) | RefundError::Silent => {
            Failure::new(Exit::Away, error).next("give the command again: a refund that was asked for is not asked for twice")
        }
    }
}
