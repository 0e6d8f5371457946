//! The command line of `shopctl products list`.

use clap::{Args, ValueEnum};
use shop_common::money::Money;
use shop_common::products::search::SearchText;
use shop_common::products::{Sku, Stock};

use crate::args::{PageArgs, ShopArgs};

/// Options of `shopctl products list`.
#[derive(Debug, Args)]
pub(crate) struct ProductsListArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Words to look for in names and descriptions
    #[arg(long, value_name = "WORDS", value_parser = words)]
    pub(crate) search: Option<SearchText>,

    /// The least that one may cost
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) min_price: Option<Money>,

    /// The most that one may cost
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) max_price: Option<Money>,

    /// Whether there are any
    #[arg(long, value_name = "true|false")]
    pub(crate) in_stock: Option<bool>,

    /// The most that there may be
    #[arg(long, value_name = "PIECES")]
    pub(crate) max_stock: Option<Stock>,

    /// The one that has this sku
    #[arg(long)]
    pub(crate) sku: Option<Sku>,

    /// What to sort by, instead of the best match or the newest first
    #[arg(long, value_enum)]
    pub(crate) sort: Option<ProductSort>,

    #[command(flatten)]
    pub(crate) page: PageArgs,
}

/// What products can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProductSort {
    /// The newest first
    Newest,
    /// By name
    Name,
    /// By price, the cheapest first
    Price,
    /// By stock, the fewest first
    Stock,
    /// By the last edit, the latest first
    Updated,
}

fn words(text: &str) -> Result<SearchText, &'static str> {
    SearchText::read(text)?.ok_or("there is no word in it")
}
