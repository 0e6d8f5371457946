//! Every kind of page that is measured.

use anyhow::Context;
use shop_common::money::Money;
use shop_common::orders::queries::{self as orders, OrderColumn, OrderFilter};
use shop_common::orders::status::OrderStatus;
use shop_common::pagination::{Direction, PageRequest};
use shop_common::payments::record::{self as payments, PaymentColumn, PaymentFilter};
use shop_common::products::search::{self, Relevance, SearchText};
use shop_common::products::{ProductColumn, ProductFilter, queries as products};
use shop_common::time::Timestamp;
use shop_common::users::directory::{self, UserColumn, UserFilter};
use sqlx::PgPool;

use crate::books::Books;
use crate::operators;

/// Rows of a page.
pub(crate) const TAKE: u32 = 10;
/// Prices go so far in cents, evenly.
const PRICES: u32 = 100_000;
/// Rows that a narrow filter leaves, in every shop.
pub(crate) const NARROW: u32 = 200;
/// Between two orders, in seconds; every second one is of the customer with half of them.
const BETWEEN_ORDERS: i64 = 15;
/// When the first order was made.
const OPENING: i64 = 1_735_689_600;

/// A page to ask for, by a name.
pub(crate) struct Asked {
    /// What it is.
    pub(crate) name: String,
    pub(crate) page: Page,
}

pub(crate) enum Page {
    Products(Option<SearchText>, ProductFilter, PageRequest<ProductColumn>),
    Found(SearchText, ProductFilter, PageRequest<Relevance>),
    Orders(OrderFilter, PageRequest<OrderColumn>),
    Users(UserFilter, PageRequest<UserColumn>),
    Payments(PaymentFilter, PageRequest<PaymentColumn>),
}

impl Asked {
    /// Asks for it.
    pub(crate) async fn ask(&self, pool: &PgPool) -> anyhow::Result<()> {
        match &self.page {
            Page::Products(search, filter, page) => {
                products::list(pool, search.as_ref(), filter, page).await?;
            }
            Page::Found(search, filter, page) => {
                search::ranked(pool, search, filter, page).await?;
            }
            Page::Orders(filter, page) => {
                orders::list(pool, filter, page).await?;
            }
            Page::Users(filter, page) => {
                directory::list(pool, filter, page).await?;
            }
            Page::Payments(filter, page) => {
                payments::list(pool, filter, page).await?;
            }
        }
        Ok(())
    }
}

/// All of them, on that shop.
pub(crate) async fn all(books: &Books) -> anyhow::Result<Vec<Asked>> {
    let mut asked = of_products(books).await?;
    asked.extend(of_searches(books).await?);
    asked.extend(of_orders(books).await?);
    asked.extend(operators::all(books).await?);
    Ok(asked)
}

async fn of_products(books: &Books) -> anyhow::Result<Vec<Asked>> {
    use ProductColumn::{CreatedAt, Id, Name, Price, Stock, UpdatedAt};
    let mut asked = Vec::new();
    let all = ProductFilter::default();
    for column in [Id, Name, Price, Stock, CreatedAt, UpdatedAt] {
        asked.extend(both_products(books, "products", None, &all, column, books.products).await?);
    }
    let cents = |cents: u32| Money::from_minor(i64::from(cents)).map(Some);
    let (middle, narrow) = (PRICES / 2, u64::from(PRICES) * u64::from(NARROW) / u64::from(books.products));
    let dear = ProductFilter { min_price: cents(middle)?, ..all.clone() };
    let few = ProductFilter { max_price: cents(middle + u32::try_from(narrow)?)?, ..dear.clone() };
    let (there, gone) = (ProductFilter { in_stock: Some(true), ..all.clone() }, Some(false));
    asked.extend(both_products(books, "half of all by price", None, &dear, Price, books.products / 2).await?);
    asked.extend(both_products(books, "200 by price", None, &few, Price, NARROW).await?);
    asked.extend(both_products(books, "inStock=true", None, &there, Id, books.products).await?);
    let out = ProductFilter { in_stock: gone, ..all.clone() };
    asked.extend(both_products(books, "inStock=false", None, &out, Id, books.products / 20).await?);
    let dear_and_gone = ProductFilter { in_stock: gone, ..dear.clone() };
    asked.extend(
        both_products(books, "half by price, inStock=false", None, &dear_and_gone, Price, books.products / 40).await?,
    );
    asked.extend(both_products(books, "half by price", None, &dear, Name, books.products / 2).await?);
    asked.extend(both_products(books, "200 by price", None, &few, Name, NARROW).await?);
    Ok(asked)
}

async fn of_searches(books: &Books) -> anyhow::Result<Vec<Asked>> {
    let all = ProductFilter::default();
    let dear = ProductFilter { min_price: Some(Money::from_minor(i64::from(PRICES / 2))?), ..all.clone() };
    let text = |text: &str| -> anyhow::Result<SearchText> {
        SearchText::read(text).map_err(anyhow::Error::msg)?.context("nothing is searched for")
    };
    let mut asked = Vec::new();
    for (name, searched, filter) in [
        ("q, 1,000 matches", "grail", &all),
        ("q, 1,000 matches, half of them by price", "grail", &dear),
        ("q, misspelt, 1,000 matches", "graill", &all),
        ("q, no match", "qqqqqqqq", &all),
        ("q, half of all match", "ware", &all),
    ] {
        let searched = text(searched)?;
        let page = PageRequest::first(Relevance, Direction::Descending, TAKE, &(&searched, filter));
        asked.push(Asked { name: name.to_owned(), page: Page::Found(searched, filter.clone(), page) });
    }
    let grail = text("grail")?;
    let first = PageRequest::first(Relevance, Direction::Descending, TAKE, &(&grail, &all));
    let before = search::ranked(&books.pool, &grail, &all, &first.clone().skip(490)).await?;
    let cursor = before.next_cursor.context("there is no next page")?.to_string();
    let page = first.after(&cursor)?;
    asked.push(Asked {
        name: "q, 1,000 matches, in the middle".to_owned(),
        page: Page::Found(grail.clone(), all.clone(), page),
    });
    let by_price = ProductColumn::Price;
    asked.extend(both_products(books, "q, 1,000 matches", Some(&grail), &all, by_price, 1000).await?);
    asked.extend(
        both_products(books, "q, half of all match", Some(&text("ware")?), &all, by_price, books.products / 2).await?,
    );
    Ok(asked)
}

async fn of_orders(books: &Books) -> anyhow::Result<Vec<Asked>> {
    use OrderColumn::{CreatedAt, Id, Status, Total, UpdatedAt};
    use OrderStatus::{Failed, Pending, Refunded};
    let (heavy, light) = books.customers().await?;
    let (all, half) = (OrderFilter::of(heavy), books.orders / 2);
    let mut asked = Vec::new();
    for column in [Id, Status, Total, CreatedAt, UpdatedAt] {
        asked.extend(both_orders(books, "orders", &all, column, half).await?);
    }
    let with = |statuses: &[OrderStatus]| OrderFilter { statuses: statuses.to_vec(), ..all.clone() };
    let later = OrderFilter { from: at(half)?, ..all.clone() };
    let few = OrderFilter { to: at(half + 2 * NARROW)?, ..later.clone() };
    asked.extend(both_orders(books, "one status of 8 %", &with(&[Failed]), Id, half / 13).await?);
    asked.extend(both_orders(books, "one status of 0.1 %", &with(&[Pending]), Id, half / 1000).await?);
    asked.extend(both_orders(books, "two statuses of 14 %", &with(&[Failed, Refunded]), Id, half / 7).await?);
    asked.extend(both_orders(books, "one status of 8 %", &with(&[Failed]), Total, half / 13).await?);
    asked.extend(both_orders(books, "half of all by time", &later, CreatedAt, half / 2).await?);
    asked.extend(both_orders(books, "200 by time", &few, CreatedAt, NARROW).await?);
    let failed = OrderFilter { statuses: vec![Failed], ..later };
    asked.extend(both_orders(books, "half by time, one status", &failed, CreatedAt, half / 26).await?);
    asked.extend(both_orders(books, "another customer's orders", &OrderFilter::of(light), Id, 20).await?);
    Ok(asked)
}

/// When that order was made.
pub(crate) fn at(order: u32) -> anyhow::Result<Option<Timestamp>> {
    let time = Timestamp::from_timestamp_secs(OPENING + i64::from(order) * BETWEEN_ORDERS);
    Ok(Some(time.context("no such time")?))
}

/// The first page, and one in the middle of so many rows.
async fn both_products(
    books: &Books,
    name: &str,
    search: Option<&SearchText>,
    filter: &ProductFilter,
    column: ProductColumn,
    rows: u32,
) -> anyhow::Result<Vec<Asked>> {
    let first = PageRequest::first(column, Direction::Ascending, TAKE, &(search, filter));
    let before = first.clone().skip((rows / 2).saturating_sub(TAKE));
    let before = products::list(&books.pool, search, filter, &before).await?;
    let asked = |place: &str, page| Asked {
        name: format!("{name}, orderBy={column:?}, {place}"),
        page: Page::Products(search.cloned(), filter.clone(), page),
    };
    let middle = before.next_cursor.map(|cursor| first.clone().after(&cursor.to_string())).transpose()?;
    Ok(std::iter::once(asked("first", first)).chain(middle.map(|page| asked("middle", page))).collect())
}

/// The same of orders.
pub(crate) async fn both_orders(
    books: &Books,
    name: &str,
    filter: &OrderFilter,
    column: OrderColumn,
    rows: u32,
) -> anyhow::Result<Vec<Asked>> {
    let first = PageRequest::first(column, Direction::Descending, TAKE, filter);
    let before = first.clone().skip((rows / 2).saturating_sub(TAKE));
    let before = orders::list(&books.pool, filter, &before).await?;
    let asked = |place: &str, page| Asked {
        name: format!("{name}, orderBy={column:?}, {place}"),
        page: Page::Orders(filter.clone(), page),
    };
    let middle = before.next_cursor.map(|cursor| first.clone().after(&cursor.to_string())).transpose()?;
    Ok(std::iter::once(asked("first", first)).chain(middle.map(|page| asked("middle", page))).collect())
}
