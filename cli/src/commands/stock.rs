//! `shopctl stock`: how much there is.

use serde::Serialize;
use shop_common::id::ProductId;
use shop_common::products::queries::{self, AdjustError};
use utoipa::ToSchema;

use crate::args::stock::{StockAdjustArgs, StockCommand};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// `shopctl stock …`.
pub(crate) async fn run(command: StockCommand) -> Result<(), Failure> {
    match command {
        StockCommand::Adjust(args) => adjust(&args).await,
    }
}

/// A change of stock, and what there is then.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Adjusted {
    product_id: ProductId,
    delta: i64,
    stock: i64,
}

/// Changes the stock of a product by so much, and records why.
async fn adjust(args: &StockAdjustArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let stock =
        queries::adjust_stock(&shop.pool, args.product, args.delta, &args.reason, None).await.map_err(failure)?;
    let adjusted = Adjusted { product_id: args.product, delta: args.delta, stock };
    output::one(args.shop.output, &adjusted, |Adjusted { product_id, delta, stock }| {
        output::table(
            ["PRODUCT", "DELTA", "STOCK"],
            vec![[product_id.to_string(), format!("{delta:+}"), stock.to_string()]],
        )
    })?;
    Ok(())
}

fn failure(error: AdjustError) -> Failure {
    match error {
        AdjustError::UnknownProduct(_) => Failure::new(Exit::NotFound, error),
        AdjustError::OutOfRange { .. } => Failure::new(Exit::Conflict, error).next("adjust by less"),
        AdjustError::Database(error) => database(error),
    }
}
