//! The command line of `shopctl products create`, `update` and `delete`.

use clap::Args;
use shop_common::id::ProductId;
use shop_common::products::{Description, Price, ProductName, Revision, Sku, Stock};

use crate::args::{ConsentArgs, ShopArgs, typed};

/// Options of `shopctl products create`.
#[derive(Debug, Args)]
pub(crate) struct ProductsCreateArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// What it is called
    #[arg(long, value_parser = typed::text::<ProductName>)]
    pub(crate) name: ProductName,

    /// What the shop's own people call it; no other product may have the same
    #[arg(long)]
    pub(crate) sku: Option<Sku>,

    /// What it is
    #[arg(long, value_name = "TEXT", value_parser = typed::text::<Description>)]
    pub(crate) description: Option<Description>,

    /// What one costs, for example 19.99
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) price: Price,

    /// How many there are
    #[arg(long, value_name = "PIECES", default_value = "0")]
    pub(crate) stock: Stock,
}

/// Options of `shopctl products update`.
#[derive(Debug, Args)]
pub(crate) struct ProductsUpdateArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Which product
    #[arg(value_name = "PRODUCT")]
    pub(crate) product: ProductId,

    #[command(flatten)]
    pub(crate) changes: ChangesArgs,

    /// The revision that the edit is meant for, for example 3-17: it is made in that state only, and without asking
    #[arg(long, value_name = "REVISION", conflicts_with_all = ["yes", "confirm"])]
    pub(crate) expected: Option<Revision>,

    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// What changes; one of them at least.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct ChangesArgs {
    /// What it is called
    #[arg(long, value_parser = typed::text::<ProductName>)]
    pub(crate) name: Option<ProductName>,

    /// Another sku
    #[arg(long)]
    pub(crate) sku: Option<Sku>,

    /// None any more
    #[arg(long, conflicts_with = "sku")]
    pub(crate) no_sku: bool,

    /// What it is
    #[arg(long, value_name = "TEXT", value_parser = typed::text::<Description>)]
    pub(crate) description: Option<Description>,

    /// What one costs; orders that were placed keep their price
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) price: Option<Price>,

    /// How many there are now, recorded as a movement (`stock set` records a reason too)
    #[arg(long, value_name = "PIECES")]
    pub(crate) stock: Option<Stock>,
}

/// Options of `shopctl products delete`.
#[derive(Debug, Args)]
pub(crate) struct ProductsDeleteArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Which product
    #[arg(value_name = "PRODUCT")]
    pub(crate) product: ProductId,

    /// The revision that is meant, for example 3-17: in another one it stays
    #[arg(long, value_name = "REVISION")]
    pub(crate) expected: Option<Revision>,

    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}
