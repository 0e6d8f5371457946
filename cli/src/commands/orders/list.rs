//! `shopctl orders list`: everybody's orders.

use shop_common::orders::Order;
use shop_common::orders::queries::{OrderColumn, OrderFilter};
use shop_common::orders::record::{self, CustomersOrder};
use shop_common::orders::status::OrderStatus;
use shop_common::pagination::Direction;

use crate::args::orders::{OrderSort, OrdersListArgs};
use crate::commands::users;
use crate::exit::Failure;
use crate::shop::{Shop, database};
use crate::{output, paging};

/// Lists orders, whoever's they are.
pub(crate) async fn list(args: &OrdersListArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let owner = match &args.user {
        Some(user) => Some(users::find(&shop, user).await?.id),
        None => None,
    };
    // However often and in whatever order they were named: the same list has the same cursors.
    let statuses = OrderStatus::ALL.into_iter().filter(|status| args.status.contains(status)).collect();
    let (min_total, max_total) = (args.min_total, args.max_total);
    let timeless = OrderFilter { owner, statuses, min_total, max_total, ..OrderFilter::of_anybody() };
    let scope = (&timeless, &args.since, &args.until);
    // What is chosen by time runs by it, because then its pages are a stretch of one index.
    let by_time = args.since.is_some() || args.until.is_some();
    let column = match args.sort {
        OrderSort::Newest if by_time => OrderColumn::CreatedAt,
        OrderSort::Newest => OrderColumn::Id,
        OrderSort::Total => OrderColumn::Total,
    };
    let page = paging::request(&args.page, column, Direction::Descending, &scope)?;
    let (from, to) = (args.since.as_ref().map(|since| since.at), args.until.as_ref().map(|until| until.at));
    let filter = OrderFilter { from, to, ..timeless };
    let page = record::list(&shop.pool, &filter, &page).await.map_err(database)?;
    let row = |CustomersOrder { order, customer }: &CustomersOrder| {
        let Order { id, status, total, currency, created_at, .. } = order;
        [
            id.to_string(),
            output::time(created_at),
            status.as_str().to_owned(),
            format!("{total} {}", currency.code()),
            customer.email.as_str().to_owned(),
        ]
    };
    paging::print(args.shop.output, &page, "orders", ["ID", "CREATED (UTC)", "STATUS", "TOTAL", "CUSTOMER"], row)
}
