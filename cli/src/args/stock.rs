//! The command line of `shopctl stock`.

use clap::{Args, Subcommand};
use shop_common::id::ProductId;
use shop_common::products::Stock;
use shop_common::reason::Reason;

use super::{PageArgs, ShopArgs};

/// The commands below `shopctl stock`.
#[derive(Debug, Subcommand)]
pub(crate) enum StockCommand {
    /// Show how many of a product can be sold, and how many open orders hold
    #[command(after_help = "\
Examples:
  shopctl stock show 01890000-0000-7000-8000-000000000000")]
    Show(StockShowArgs),

    /// Change the stock of a product, and record why
    #[command(after_help = "\
Examples:
  shopctl stock adjust 01890000-0000-7000-8000-000000000000 20 --reason 'delivery 4711'
  shopctl stock adjust 01890000-0000-7000-8000-000000000000 -2 --reason 'two were broken'")]
    Adjust(StockAdjustArgs),

    /// Set the stock of a product to what was counted, and record why
    ///
    /// The difference to what the books say at this moment is recorded as a movement.
    /// Count what can be sold: pieces that open orders hold (see `stock show`) are not
    /// in the stock any more. Orders that come in while you count are not in your number:
    /// where a product sells all the time, `adjust` by the difference that you found.
    #[command(after_help = "\
Examples:
  shopctl stock set 01890000-0000-7000-8000-000000000000 112 --reason 'stocktaking 2026'")]
    Set(StockSetArgs),

    /// List the changes of a stock that were no orders, newest first
    #[command(after_help = "\
Examples:
  shopctl stock movements 01890000-0000-7000-8000-000000000000
  shopctl stock movements 01890000-0000-7000-8000-000000000000 --reverse -o jsonl")]
    Movements(StockMovementsArgs),

    /// List the products of which there are few, the fewest first
    #[command(after_help = "\
Examples:
  shopctl stock low
  shopctl stock low --below 0")]
    Low(StockLowArgs),
}

/// Options of `shopctl stock show`.
#[derive(Debug, Args)]
pub(crate) struct StockShowArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Which product
    #[arg(value_name = "PRODUCT")]
    pub(crate) product: ProductId,
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

/// Options of `shopctl stock set`.
#[derive(Debug, Args)]
pub(crate) struct StockSetArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Which product
    #[arg(value_name = "PRODUCT")]
    pub(crate) product: ProductId,

    /// How many pieces there are
    #[arg(value_name = "PIECES")]
    pub(crate) pieces: Stock,

    /// Why, in a few words
    #[arg(long)]
    pub(crate) reason: Reason,
}

/// Options of `shopctl stock movements`.
#[derive(Debug, Args)]
pub(crate) struct StockMovementsArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Which product; a deleted one still has them
    #[arg(value_name = "PRODUCT")]
    pub(crate) product: ProductId,

    #[command(flatten)]
    pub(crate) page: PageArgs,
}

/// Options of `shopctl stock low`.
#[derive(Debug, Args)]
pub(crate) struct StockLowArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Of which there are so many, or fewer
    #[arg(long, value_name = "PIECES", default_value = "10")]
    pub(crate) below: Stock,

    #[command(flatten)]
    pub(crate) page: PageArgs,
}
