//! The command line of `shopctl products`.

pub(crate) mod edit;
pub(crate) mod list;

use clap::{Args, Subcommand};
use shop_common::id::ProductId;

use self::edit::{ProductsCreateArgs, ProductsDeleteArgs, ProductsUpdateArgs};
use self::list::ProductsListArgs;
use super::ShopArgs;
use super::products_import::{ProductsExportArgs, ProductsImportArgs};

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

    /// Add products from a CSV file, or change them
    ///
    /// The first line names the columns: sku, name, description, price and stock, of
    /// which name and price are needed. An export of Shopify is taken as it is, each
    /// variant as a product. All lines are imported, or none: each line that is
    /// refused is named with its number, column and reason. With --skip-invalid they
    /// are passed over. Ctrl-C changes nothing and leaves with 130.
    ///
    /// With --update, a line whose sku a product has changes that product; what the
    /// file has no column for stays as it is. A stock is absolute: leave the column out
    /// unless it was counted, or it undoes what was ordered in the meantime.
    #[command(after_help = "\
Examples:
  shopctl products import spring.csv
  shopctl products import --update --dry-run prices.csv
  shopctl products import --update --reason 'stocktaking' --yes stock.csv
  zcat products_export.csv.gz | shopctl products import --skip-invalid -o jsonl -")]
    Import(ProductsImportArgs),

    /// Write all products to a CSV file that `import` takes
    ///
    /// Sorted by when they were added. Imported into an empty shop and exported again,
    /// it is the same file, byte for byte.
    #[command(after_help = "\
Examples:
  shopctl products export > products.csv
  shopctl products export products.csv")]
    Export(ProductsExportArgs),
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
