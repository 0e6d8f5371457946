//! `shopctl products`: what is sold.

mod edit;
mod list;

use serde::Serialize;
use shop_common::id::ProductId;
use shop_common::products::{Product, Revision, Sku, Versioned, queries};
use utoipa::ToSchema;

pub(crate) use self::edit::DeletedProduct;
pub(crate) use self::list::print_page;
use crate::args::Format;
use crate::args::products::{ProductsCommand, ProductsShowArgs};
use crate::commands::{export, import};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// `shopctl products …`.
pub(crate) async fn run(command: ProductsCommand) -> Result<(), Failure> {
    match command {
        ProductsCommand::List(args) => list::list(&args).await,
        ProductsCommand::Show(args) => show(&args).await,
        ProductsCommand::Create(args) => edit::create(&args).await,
        ProductsCommand::Update(args) => edit::update(&args).await,
        ProductsCommand::Delete(args) => edit::delete(&args).await,
        ProductsCommand::Import(args) => import::run(&args).await,
        ProductsCommand::Export(args) => export::run(&args).await,
    }
}

/// The product with that id.
pub(crate) async fn find(shop: &Shop, product: ProductId) -> Result<Versioned, Failure> {
    queries::find(&shop.pool, product).await.map_err(database)?.ok_or_else(|| not_found(product))
}

/// There is no such product, or no more.
pub(crate) fn not_found(product: ProductId) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no product {product}"))
        .next("look for it with `shopctl products list --search WORDS`")
}

/// A product, and in which state it is.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownProduct {
    #[serde(flatten)]
    product: Product,
    /// For `--expected`: how often it was edited, and its stock.
    #[schema(value_type = String)]
    #[serde(serialize_with = "revision")]
    revision: Revision,
}

fn revision<S: serde::Serializer>(revision: &Revision, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(revision)
}

async fn show(args: &ProductsShowArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    print_one(args.shop.output, find(&shop, args.product).await?)
}

fn print_one(format: Format, product: Versioned) -> Result<(), Failure> {
    let shown = ShownProduct { revision: product.revision(), product: product.product };
    output::one(format, &shown, |ShownProduct { product, revision }| print(product, revision))?;
    Ok(())
}

fn print(product: &Product, revision: &Revision) -> std::io::Result<()> {
    output::facts(&[
        ("id", product.id.to_string()),
        ("sku", output::or_dash(product.sku.as_ref().map(Sku::as_str))),
        ("name", product.name.as_str().to_owned()),
        ("price", product.price.to_string()),
        ("stock", product.stock.to_string()),
        ("description", product.description.as_str().to_owned()),
        ("revision", revision.to_string()),
        ("created", format!("{} UTC", output::time(&product.created_at))),
        ("updated", format!("{} UTC", output::time(&product.updated_at))),
    ])
}
