//! `shopctl stock`: how much there is.

use serde_json::json;
use shop_common::products::queries::{self, AdjustError};

use crate::args::{Format, StockAdjustArgs};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// Changes the stock of a product by so much, and records why.
pub(crate) async fn adjust(args: &StockAdjustArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let stock =
        queries::adjust_stock(&shop.pool, args.product, args.delta, &args.reason, None).await.map_err(failure)?;
    match args.shop.output {
        Format::Json => output::json(&json!({ "productId": args.product, "delta": args.delta, "stock": stock }))?,
        Format::Table => output::table(
            ["PRODUCT", "DELTA", "STOCK"],
            vec![[args.product.to_string(), format!("{:+}", args.delta), stock.to_string()]],
        )?,
    }
    Ok(())
}

fn failure(error: AdjustError) -> Failure {
    match error {
        AdjustError::UnknownProduct(_) => Failure::new(Exit::NotFound, error),
        AdjustError::OutOfRange { .. } => Failure::new(Exit::Conflict, error).next("adjust by less"),
        AdjustError::Database(error) => database(error),
    }
}
