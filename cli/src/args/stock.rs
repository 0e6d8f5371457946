//! The command line of `shopctl stock`.

use clap::{Args, Subcommand};
use shop_common::id::ProductId;
use shop_common::reason::Reason;

use super::ShopArgs;

/// The commands below `shopctl stock`.
#[derive(Debug, Subcommand)]
pub(crate) enum StockCommand {
    /// Change the stock of a product, and record why
    #[command(after_help = "\
Examples:
  shopctl stock adjust 01890000-0000-7000-8000-000000000000 20 --reason 'delivery 4711'
  shopctl stock adjust 01890000-0000-7000-8000-000000000000 -2 --reason 'two were broken'")]
    Adjust(StockAdjustArgs),
}

/// Options of `shopctl stock adjust`.
#[derive(Debug, Args)]
pub(crate) struct StockAdjustArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Which product
    #[arg(value_name = "PRODUCT")]
    pub(crate) product: ProductId,

    /// By how much, for example 20 or -2
    #[arg(value_name = "DELTA", allow_negative_numbers = true)]
    pub(crate) delta: i64,

    /// Why, in a few words
    #[arg(long)]
    pub(crate) reason: Reason,
}
