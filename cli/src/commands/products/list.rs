//! `shopctl products list`: the catalogue, or what of it is looked for.

use shop_common::pagination::{Direction, Page};
use shop_common::products::search::{self, Relevance};
use shop_common::products::{Product, ProductColumn, ProductFilter, Stock, queries};

use crate::args::Format;
use crate::args::products::list::{ProductSort, ProductsListArgs};
use crate::exit::Failure;
use crate::paging;
use crate::shop::{Shop, database};

/// Lists products.
pub(crate) async fn list(args: &ProductsListArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let ProductsListArgs { min_price, max_price, in_stock, max_stock, .. } = *args;
    let max_stock = max_stock.map(Stock::pieces);
    let filter = ProductFilter { min_price, max_price, in_stock, max_stock, sku: args.sku.clone() };
    let scope = (&args.search, &filter);
    let page = match (&args.search, args.sort) {
        (Some(words), None) => {
            let page = paging::request(&args.page, Relevance, Direction::Descending, &scope)?;
            search::ranked(&shop.pool, words, &filter, &page).await
        }
        (words, sort) => {
            let (column, direction) = order(sort.unwrap_or(ProductSort::Newest));
            let page = paging::request(&args.page, column, direction, &scope)?;
            queries::list(&shop.pool, words.as_ref(), &filter, &page).await
        }
    };
    print_page(args.shop.output, &page.map_err(database)?)
}

fn order(sort: ProductSort) -> (ProductColumn, Direction) {
    match sort {
        ProductSort::Newest => (ProductColumn::Id, Direction::Descending),
        ProductSort::Name => (ProductColumn::Name, Direction::Ascending),
        ProductSort::Price => (ProductColumn::Price, Direction::Ascending),
        ProductSort::Stock => (ProductColumn::Stock, Direction::Ascending),
        ProductSort::Updated => (ProductColumn::UpdatedAt, Direction::Descending),
    }
}

/// Prints a page of products.
pub(crate) fn print_page(format: Format, page: &Page<Product>) -> Result<(), Failure> {
    let row = |product: &Product| {
        [product.id.to_string(), product.name.as_str().to_owned(), product.price.to_string(), product.stock.to_string()]
    };
    paging::print(format, page, "products", ["ID", "NAME", "PRICE", "STOCK"], row)
}
