//! `shopctl stock`: how much there is, and why.

use serde::Serialize;
use shop_common::id::ProductId;
use shop_common::pagination::Direction;
use shop_common::products::movements::{self, Movement, MovementColumn};
use shop_common::products::stock::{self, AdjustError, Held, Recounted};
use shop_common::products::{ProductColumn, ProductFilter, queries};
use utoipa::ToSchema;

use super::products;
use crate::args::Format;
use crate::args::stock::{
    StockAdjustArgs, StockCommand, StockLowArgs, StockMovementsArgs, StockSetArgs, StockShowArgs,
};
use crate::exit::{Exit, Failure};
use crate::shop::{Shop, database};
use crate::{output, paging};

/// `shopctl stock …`.
pub(crate) async fn run(command: StockCommand) -> Result<(), Failure> {
    match command {
        StockCommand::Show(args) => show(&args).await,
        StockCommand::Adjust(args) => adjust(&args).await,
        StockCommand::Set(args) => set(&args).await,
        StockCommand::Movements(args) => movements(&args).await,
        StockCommand::Low(args) => low(&args).await,
    }
}

/// What there is of a product, and what open orders hold.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownStock {
    product_id: ProductId,
    name: String,
    /// How many can be sold.
    stock: i64,
    held: Held,
}

async fn show(args: &StockShowArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let product = products::find(&shop, args.product).await?.product;
    let held = stock::held(&shop.pool, args.product).await.map_err(database)?;
    let shown =
        ShownStock { product_id: product.id, name: product.name.as_str().to_owned(), stock: product.stock, held };
    output::one(args.shop.output, &shown, |ShownStock { product_id, name, stock, held: Held { orders, pieces } }| {
        output::table(
            ["PRODUCT", "NAME", "STOCK", "HELD", "OPEN ORDERS"],
            vec![[product_id.to_string(), name.clone(), stock.to_string(), pieces.to_string(), orders.to_string()]],
        )
    })?;
    Ok(())
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
    let stock = stock::adjust(&shop.pool, args.product, args.delta, &args.reason, None).await.map_err(failure)?;
    print(args.shop.output, &Adjusted { product_id: args.product, delta: args.delta, stock })
}

/// Sets the stock of a product to what was counted, and records why.
async fn set(args: &StockSetArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let Recounted { before, now } =
        stock::recount(&shop.pool, args.product, args.pieces, &args.reason, None).await.map_err(failure)?;
    if before == now {
        output::note("that is what the books say; nothing was recorded");
    }
    print(args.shop.output, &Adjusted { product_id: args.product, delta: now - before, stock: now })
}

fn print(format: Format, adjusted: &Adjusted) -> Result<(), Failure> {
    output::one(format, adjusted, |Adjusted { product_id, delta, stock }| {
        output::table(
            ["PRODUCT", "DELTA", "STOCK"],
            vec![[product_id.to_string(), format!("{delta:+}"), stock.to_string()]],
        )
    })?;
    Ok(())
}

/// Lists the movements of a stock.
async fn movements(args: &StockMovementsArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let page = paging::request(&args.page, MovementColumn::Id, Direction::Descending, &args.product)?;
    let page = movements::list(&shop.pool, args.product, &page).await.map_err(database)?;
    let page = page.ok_or_else(|| products::not_found(args.product))?;
    let row = |movement: &Movement| {
        [
            output::time(&movement.created_at),
            format!("{:+}", movement.delta),
            movement.reason.clone(),
            output::or_dash(movement.actor_id),
        ]
    };
    paging::print(args.shop.output, &page, "movements", ["AT (UTC)", "DELTA", "REASON", "BY"], row)
}

/// Lists the products of which there are few.
async fn low(args: &StockLowArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let filter = ProductFilter { max_stock: Some(args.below.pieces()), ..ProductFilter::default() };
    let page = paging::request(&args.page, ProductColumn::Stock, Direction::Ascending, &filter)?;
    let page = queries::list(&shop.pool, None, &filter, &page).await.map_err(database)?;
    products::print_page(args.shop.output, &page)
}

fn failure(error: AdjustError) -> Failure {
    match error {
        AdjustError::UnknownProduct(product) => products::not_found(product),
        AdjustError::OutOfRange { .. } => {
            Failure::new(Exit::Conflict, error).next("adjust by less, or set what was counted with `shopctl stock set`")
        }
        AdjustError::Database(error) => database(error),
    }
}
