//! `shopctl payments list`: how orders are paid.

use shop_common::pagination::Direction;
use shop_common::payments::record::{self, Payment, PaymentColumn, PaymentFilter};

use crate::args::payments::PaymentsListArgs;
use crate::exit::Failure;
use crate::shop::{Shop, database};
use crate::{output, paging};

/// Lists payments.
pub(crate) async fn list(args: &PaymentsListArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let PaymentsListArgs { status, method, order, since, until, .. } = args;
    let timeless = PaymentFilter { status: *status, method: method.clone(), order: *order, ..PaymentFilter::default() };
    // What is chosen by time runs by it, because then its pages are a stretch of one index.
    let by_time = since.is_some() || until.is_some();
    let column = if by_time { PaymentColumn::CreatedAt } else { PaymentColumn::Id };
    let page = paging::request(&args.page, column, Direction::Descending, &(&timeless, since, until))?;
    let (from, to) = (since.as_ref().map(|since| since.at), until.as_ref().map(|until| until.at));
    let filter = PaymentFilter { from, to, ..timeless };
    let page = record::list(&shop.pool, &filter, &page).await.map_err(database)?;
    let row = |payment: &Payment| {
        [
            payment.id.to_string(),
            output::time(&payment.created_at),
            payment.status.as_str().to_owned(),
            format!("{} {}", payment.amount, payment.currency.code()),
            payment.method.as_str().to_owned(),
            payment.order_id.to_string(),
            output::or_dash(payment.last_error.as_ref()),
        ]
    };
    let headers = ["ID", "CREATED (UTC)", "STATUS", "AMOUNT", "METHOD", "ORDER", "LAST ERROR"];
    paging::print(args.shop.output, &page, "payments", headers, row)
}
