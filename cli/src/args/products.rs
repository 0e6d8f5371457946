//! The command line of `shopctl products`.

use clap::{Args, Subcommand};
use shop_common::id::ProductId;

use super::ShopArgs;

/// The commands below `shopctl products`.
#[derive(Debug, Subcommand)]
pub(crate) enum ProductsCommand {
    /// Show a product
    #[command(after_help = "\
Examples:
  shopctl products show 01890000-0000-7000-8000-000000000000")]
    Show(ProductsShowArgs),
}

/// Options of `shopctl products show`.
#[derive(Debug, Args)]
pub(crate) struct ProductsShowArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Which product
    #[arg(value_name = "PRODUCT")]
    pub(crate) product: ProductId,
}
