//! The command line of `shopctl orders`.

use clap::{Args, Subcommand, ValueEnum};
use shop_common::id::OrderId;
use shop_common::money::Money;
use shop_common::orders::status::OrderStatus;
use shop_common::reason::Reason;

use super::typed::{self, Moment};
use super::users::UserArg;
use super::{ConsentArgs, PageArgs, ShopArgs};

/// The commands below `shopctl orders`.
#[derive(Debug, Subcommand)]
pub(crate) enum OrdersCommand {
    /// List everybody's orders, newest first
    #[command(after_help = "\
Examples:
  shopctl orders list
  shopctl orders list --status pending,processing --until 1h
  shopctl orders list --user ada@example.com --min-total 100 -o jsonl")]
    List(OrdersListArgs),

    /// Show an order: its items, payment, attempts, refund, jobs and timeline
    #[command(after_help = "\
Examples:
  shopctl orders show 01890000-0000-7000-8000-000000000000
  shopctl orders show 01890000-0000-7000-8000-000000000000 -o json | jq -r '.jobs[].id'")]
    Show(OrdersShowArgs),

    /// Cancel an order that is not paid yet
    ///
    /// As its customer can: its payment fails, its stock is back at once, and the customer
    /// sees CANCELLED. While a charge is in flight this is refused (5), since only the
    /// gateway can say then whether money moves.
    #[command(after_help = "\
Examples:
  shopctl orders cancel 01890000-0000-7000-8000-000000000000
  shopctl orders cancel 01890000-0000-7000-8000-000000000000 --dry-run")]
    Cancel(OrdersCancelArgs),

    /// Show the moves of orders and payments as they happen
    ///
    /// The same news as customers get on their sockets. Of one order, what happened
    /// to it so far comes first, and the command leaves when it has ended: where a refund
    /// was asked for, when that is done. With --all, the moves of everybody's orders from
    /// now on, until Ctrl-C.
    /// With -o json, a line is a message as `/ws` sends it, and the user is in `data.createdBy`.
    #[command(after_help = "\
Examples:
  shopctl orders watch --all
  shopctl orders watch 01890000-0000-7000-8000-000000000000
  shopctl orders watch --all -o json | jq -r '.data.status'")]
    Watch(OrdersWatchArgs),

    /// Give the whole of a paid order back
    ///
    /// Only of a COMPLETED order. The refund is written down with a job; the workers ask
    /// the gateway until it has given the money back, once, and the order is REFUNDED
    /// then. Say whether its pieces go back into stock. To ask again with the same
    /// choice changes nothing; there is no way back.
    #[command(after_help = "\
Examples:
  shopctl orders refund 01890000-0000-7000-8000-000000000000 --restock
  shopctl orders refund 01890000-0000-7000-8000-000000000000 --no-restock --reason 'broken on arrival' --yes")]
    Refund(OrdersRefundArgs),
}

/// Options of `shopctl orders list`.
#[derive(Debug, Args)]
pub(crate) struct OrdersListArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Only those with this status; several are separated by commas
    #[arg(long, value_delimiter = ',', value_parser = typed::order_status(), ignore_case = true)]
    pub(crate) status: Vec<OrderStatus>,

    /// Only those of this user: an email or an id
    #[arg(long)]
    pub(crate) user: Option<UserArg>,

    /// Only those that were placed then or later: a time, a day, or an age such as 24h
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Moment>,

    /// Only those that were placed before
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Moment>,

    /// Only those whose total is so much at least
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) min_total: Option<Money>,

    /// Only those whose total is so much at most
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) max_total: Option<Money>,

    /// What to sort by
    #[arg(long, value_enum, default_value_t = OrderSort::Newest)]
    pub(crate) sort: OrderSort,

    #[command(flatten)]
    pub(crate) page: PageArgs,
}

/// What orders can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OrderSort {
    /// The newest first
    Newest,
    /// By total, the largest first
    Total,
}

/// Options of `shopctl orders show`.
#[derive(Debug, Args)]
pub(crate) struct OrdersShowArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Which order, whoever's it is
    #[arg(value_name = "ORDER")]
    pub(crate) order: OrderId,
}

/// Options of `shopctl orders cancel`.
#[derive(Debug, Args)]
pub(crate) struct OrdersCancelArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Which order, whoever's it is
    #[arg(value_name = "ORDER")]
    pub(crate) order: OrderId,

    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// Options of `shopctl orders refund`.
#[derive(Debug, Args)]
pub(crate) struct OrdersRefundArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Which order, whoever's it is
    #[arg(value_name = "ORDER")]
    pub(crate) order: OrderId,

    /// Put its pieces back into stock
    #[arg(long, required_unless_present = "no_restock", conflicts_with = "no_restock")]
    pub(crate) restock: bool,

    /// Leave the stock as it is: the pieces do not come back, or not fit to be sold
    #[arg(long)]
    pub(crate) no_restock: bool,

    /// Why, in a few words; the customer sees it with the order
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<Reason>,

    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// Options of `shopctl orders watch`.
#[derive(Debug, Args)]
pub(crate) struct OrdersWatchArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Which order
    #[arg(value_name = "ORDER", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) order: Option<OrderId>,

    /// Everybody's orders
    #[arg(long)]
    pub(crate) all: bool,
}
