//! `shopctl products`: what is sold.

use shop_common::products::{Product, queries};

use crate::args::products::{ProductsCommand, ProductsShowArgs};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// `shopctl products …`.
pub(crate) async fn run(command: ProductsCommand) -> Result<(), Failure> {
    match command {
        ProductsCommand::Show(args) => show(&args).await,
    }
}

async fn show(args: &ProductsShowArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let found = queries::find(&shop.pool, args.product).await.map_err(database)?.ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("there is no product {}", args.product)).next("check the id")
    })?;
    output::one(args.shop.output, &found.product, print)?;
    Ok(())
}

fn print(product: &Product) -> std::io::Result<()> {
    output::facts(&[
        ("id", product.id.to_string()),
        ("name", product.name.as_str().to_owned()),
        ("price", product.price.to_string()),
        ("stock", product.stock.to_string()),
        ("description", product.description.as_str().to_owned()),
        ("created", format!("{} UTC", output::time(&product.created_at))),
        ("updated", format!("{} UTC", output::time(&product.updated_at))),
    ])
}
