//! The command line of `shopctl products`.

pub(crate) mod edit;
pub(crate) mod list;

use clap::{Args, Subcommand};
use shop_common::id::ProductId;

use self::edit::{ProductsCreateArgs, ProductsDeleteArgs, ProductsUpdateArgs};
use self::list::ProductsListArgs;
use super::ShopArgs;

/// The commands below `shopctl products`.
#[derive(Debug, Subcommand)]
pub(crate) enum ProductsCommand {
    /// List products, newest first; those that are searched for, the best match first
    #[command(after_help = "\
Examples:
  shopctl products list
  shopctl products list --search 'enamel mug' --max-price 20
  shopctl products list --in-stock false --sort name -o jsonl")]
    List(ProductsListArgs),

    /// Add a product to the catalogue
    ///
    /// Its first stock is its first movement.
    #[command(after_help = "\
Examples:
  shopctl products create --name 'Enamel mug' --price 12.50 --stock 200
  shopctl products create --name 'Gift card' --description 'For those who cannot decide.' --price 25")]
    Create(ProductsCreateArgs),

    /// Edit a product
    ///
    /// Only what is given changes. With --expected, only if the product is in that state
    /// (`revision` in `products show`): an edit or an order in between leaves with 5, and
    /// nothing is overwritten that was not seen. Without it, what is going to change is
    /// shown and asked about.
    #[command(after_help = "\
Examples:
  shopctl products update 01890000-0000-7000-8000-000000000000 --price 13.90
  shopctl products update 01890000-0000-7000-8000-000000000000 --name 'Enamel mug' --expected 3-17")]
    Update(ProductsUpdateArgs),

    /// Take a product out of the catalogue
    ///
    /// Orders that hold it go on, and go on showing it. It does not come back.
    #[command(after_help = "\
Examples:
  shopctl products delete 01890000-0000-7000-8000-000000000000
  shopctl products delete 01890000-0000-7000-8000-000000000000 --dry-run")]
    Delete(ProductsDeleteArgs),

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
