//! The command line of `shopctl orders`.

use clap::{Args, Subcommand};
use shop_common::id::OrderId;
use shop_common::reason::Reason;

use super::{ConsentArgs, ShopArgs};

/// The commands below `shopctl orders`.
#[derive(Debug, Subcommand)]
pub(crate) enum OrdersCommand {
    /// Show the moves of orders and payments as they happen
    ///
    /// The same news as customers get on their sockets. Of one order, what happened
    /// to it so far comes first, and the command leaves when it has ended. With --all,
    /// the moves of everybody's orders from now on, until Ctrl-C.
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
