//! The command line of `shopctl orders` and `shopctl users`.

use clap::{Args, Subcommand};
use shop_common::id::OrderId;

use super::ShopArgs;

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

/// The commands below `shopctl users`.
#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// Revoke all tokens of a user, and end all their sessions
    ///
    /// Whoever uses one gets 401 `token_revoked` within a second or two, and open
    /// sockets are closed. The user can log in again: to keep somebody out who knows
    /// the password, change that as well.
    #[command(after_help = "\
Examples:
  shopctl users revoke eve@example.com")]
    Revoke(UsersRevokeArgs),
}

/// Options of `shopctl users revoke`.
#[derive(Debug, Args)]
pub(crate) struct UsersRevokeArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Their email
    #[arg(value_name = "EMAIL")]
    pub(crate) email: String,
}
