//! `/products`: the catalogue, public to read, kept by admins.

use rocket::http::Status;
use rocket::http::uri::Origin;
use rocket::{FromForm, State, delete, get, post, put};
use serde::{Deserialize, Deserializer};
use shop_common::id::ProductId;
use shop_common::money::{Money, MoneyError};
use shop_common::pagination::{Direction, Page};
use shop_common::products::changes::Changes;
use shop_common::products::search::{self, Relevance, SearchText};
use shop_common::products::{
    Description, NewProduct, Price, Product, ProductChanges, ProductColumn, ProductFilter, ProductName, Sku, Stock,
    queries,
};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use crate::auth::guard::Admin;
use crate::body::Body;
use crate::catalogue::{Catalogue, Kept, Shows};
use crate::db::Db;
use crate::error::{ApiError, SharedError};
use crate::etag::{Etagged, IfMatch};
use crate::openapi::problems::{
    Bodies, Commits, Conditions, Cursors, ForAdmins, Limits, NoProduct, Parameters, Problems, Reading, Skus,
};
use crate::paging::{self, ListQuery, Paged, invalid};
use crate::query::Query;
use crate::rate_limit::{Limited, Reads, Writes};

const COLUMNS: [(&str, ProductColumn); 6] = [
    ("id", ProductColumn::Id),
    ("name", ProductColumn::Name),
    ("price", ProductColumn::Price),
    ("stock", ProductColumn::Stock),
    ("createdAt", ProductColumn::CreatedAt),
    ("updatedAt", ProductColumn::UpdatedAt),
];

/// The same, the price first: it is what a list is sorted by that is chosen by price.
const COLUMNS_BY_PRICE: [(&str, ProductColumn); 6] =
    [COLUMNS[2], COLUMNS[0], COLUMNS[1], COLUMNS[3], COLUMNS[4], COLUMNS[5]];

/// A third of the connections that an api has by default.
const SEARCHES_AT_ONCE: usize = 8;

const RELEVANCE: [(&str, Relevance); 1] = [("relevance", Relevance)];

/// A new product.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductBody {
    sku: Option<Sku>,
    name: ProductName,
    #[serde(default)]
    description: Description,
    price: Price,
    stock: Stock,
}

/// What changes of a product; what is left out stays as it is, and a `sku` of `null` goes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductChangesBody {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Sku>)]
    sku: Option<Option<Sku>>,
    name: Option<ProductName>,
    description: Option<Description>,
    price: Option<Price>,
    stock: Option<Stock>,
}

/// A field that is there, if only as `null`.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// Whose turn it is to search: so many at once, and the others wait. A search can take long (a phrase of common words in
/// a large catalogue), and without this, those who search could have all connections to the database.
pub(crate) struct Searches(Semaphore);

impl Default for Searches {
    fn default() -> Self {
        Self(Semaphore::new(SEARCHES_AT_ONCE))
    }
}

/// The query of the catalogue, as it came.
#[derive(FromForm, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProductsQuery<'r> {
    /// Rows to pass over.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 100000, default = 0)]
    skip: Option<&'r str>,
    /// Rows wanted.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 10)]
    take: Option<&'r str>,
    /// What to sort by; rows that are equal in it are sorted by id.
    #[field(name = "orderBy")]
    #[param(rename = "orderBy", pattern = "^(id|name|price|stock|createdAt|updatedAt)$", example = "price")]
    order_by: Option<&'r str>,
    /// Which way.
    #[param(pattern = "^(asc|desc)$", example = "desc")]
    order: Option<&'r str>,
    /// The `nextCursor` of the page before, with the rest of the query as it was; not together with `skip`.
    after: Option<&'r str>,
    /// Words to look for in names and descriptions; the best match comes first, unless `orderBy` is given.
    #[param(max_length = 200, example = "enamel mug")]
    q: Option<&'r str>,
    /// The least that one may cost.
    #[field(name = "minPrice")]
    #[param(rename = "minPrice", value_type = Option<f64>, minimum = 0, maximum = 9999999999999.99, multiple_of = 0.01, example = json!(5))]
    min_price: Option<&'r str>,
    /// The most that one may cost.
    #[field(name = "maxPrice")]
    #[param(rename = "maxPrice", value_type = Option<f64>, minimum = 0, maximum = 9999999999999.99, multiple_of = 0.01, example = json!(19.99))]
    max_price: Option<&'r str>,
    /// Whether there are any.
    #[field(name = "inStock")]
    #[param(rename = "inStock", value_type = Option<bool>)]
    in_stock: Option<&'r str>,
    /// What the shop's own people call it, all of it.
    #[param(value_type = Option<Sku>)]
    sku: Option<&'r str>,
}

impl<'r> ProductsQuery<'r> {
    fn list(&self) -> ListQuery<'r> {
        let Self { skip, take, order_by, order, after, .. } = *self;
        ListQuery { skip, take, order_by, order, after }
    }

    fn search(&self) -> Result<Option<SearchText>, ApiError> {
        SearchText::read(self.q.unwrap_or_default()).map_err(|problem| invalid("q", problem.to_owned()))
    }

    fn filter(&self) -> Result<ProductFilter, ApiError> {
        let min_price = self.min_price.map(|text| money("minPrice", text)).transpose()?;
        let max_price = self.max_price.map(|text| money("maxPrice", text)).transpose()?;
        let in_stock = match self.in_stock {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err(invalid("inStock", "it must be true or false".to_owned())),
        };
        let sku = self.sku.map(str::parse).transpose().map_err(|problem: &str| invalid("sku", problem.to_owned()))?;
        Ok(ProductFilter { min_price, max_price, in_stock, sku, ..ProductFilter::default() })
    }
}

fn money(parameter: &'static str, text: &str) -> Result<Money, ApiError> {
    text.parse().map_err(|error: MoneyError| invalid(parameter, error.to_string()))
}

/// List products
///
/// Sorted by what is asked for; else what is found by relevance, what is chosen by price by its price, all by id.
#[utoipa::path(
    get,
    path = "/products",
    tag = "products",
    operation_id = "listProducts",
    params(ProductsQuery, ("If-None-Match" = Option<String>, Header, description = "An `ETag` of before: if it is still that, 304")),
    responses(
        (status = 200, description = "A page of the catalogue", body = Page<Product>, headers(("ETag" = String, description = "For `If-None-Match`"), ("Link" = Option<String>, description = "The next page, `rel=\"next\"`"))),
        (status = 304, description = "It is what `If-None-Match` says"),
        Problems<(Limits, Parameters, Cursors, Reading)>
    )
)]
#[get("/products")]
pub(crate) async fn list(
    _limit: Limited<Reads>,
    query: Query<'_>,
    address: &Origin<'_>,
    catalogue: &State<Catalogue>,
    searches: &State<Searches>,
    db: &Db,
) -> Result<Kept, SharedError> {
    let read = async || read_page(&query.read()?, searches, db).await?.render(address);
    catalogue.get(&address.to_string(), Shows::Any, read).await
}

async fn read_page(query: &ProductsQuery<'_>, searches: &Searches, db: &Db) -> Result<Paged<Product>, ApiError> {
    let (search, filter) = (query.search()?, query.filter()?);
    let scope = (&search, &filter);
    let _turn = match &search {
        Some(_) => searches.0.acquire().await.ok(),
        None => None,
    };
    let page = match &search {
        Some(text) if query.order_by.is_none() => {
            let page = query.list().parse(&RELEVANCE, Direction::Descending, &scope)?;
            search::ranked(db.pool(), text, &filter, &page).await?
        }
        _ => {
            let by_price = filter.min_price.is_some() || filter.max_price.is_some();
            let columns = if by_price { &COLUMNS_BY_PRICE } else { &COLUMNS };
            let page = query.list().parse(columns, Direction::Ascending, &scope)?;
            queries::list(db.pool(), search.as_ref(), &filter, &page).await?
        }
    };
    Ok(Paged::public(page))
}

/// Show a product
#[utoipa::path(
    get,
    path = "/products/{id}",
    tag = "products",
    operation_id = "showProduct",
    params(("id" = ProductId, Path, description = "Which product"), ("If-None-Match" = Option<String>, Header, description = "An `ETag` of before: if it is still that, 304")),
    responses(
        (status = 200, description = "The product", body = Product, headers(("ETag" = String, description = "For `If-None-Match`"))),
        (status = 304, description = "It is what `If-None-Match` says"),
        Problems<(Limits, Parameters, NoProduct, Reading)>
    )
)]
#[get("/products/<id>")]
pub(crate) async fn show(
    _limit: Limited<Reads>,
    id: &str,
    address: &Origin<'_>,
    catalogue: &State<Catalogue>,
    db: &Db,
) -> Result<Kept, SharedError> {
    let id = paging::id("id", id)?;
    let read = async || {
        let product = queries::find(db.pool(), id).await?.ok_or_else(|| no_such_product(id))?;
        Ok((Etagged::from(product).render()?, None))
    };
    catalogue.get(address.path().as_str(), Shows::One(id), read).await
}

/// Add a product to the catalogue
///
/// Its first stock is its first movement.
#[utoipa::path(
    post,
    path = "/products",
    tag = "products",
    operation_id = "createProduct",
    security(("token" = [])),
    request_body = ProductBody,
    responses(
        (
            status = 201, description = "The product", body = Product, headers(("ETag" = String, description = "For `If-Match`")),
            links(
                ("show" = (operation_id = "showProduct", parameters(("id" = "$response.body#/id")))),
                ("update" = (operation_id = "updateProduct", parameters(("id" = "$response.body#/id")))),
                ("delete" = (operation_id = "deleteProduct", parameters(("id" = "$response.body#/id")))),
                ("movements" = (operation_id = "listMovements", parameters(("product" = "$response.body#/id"))))
            )
        ),
        Problems<(ForAdmins, Limits, Bodies, Commits, Skus)>
    )
)]
#[post("/products", data = "<body>")]
pub(crate) async fn create(
    admin: Admin,
    _limit: Limited<Writes>,
    body: Body<ProductBody>,
    changes: &State<Changes>,
    db: &Db,
) -> Result<(Status, Etagged<Product>), ApiError> {
    let Body(ProductBody { sku, name, description, price, stock }) = body;
    let product = NewProduct { sku, name, description, price, stock };
    let created = queries::create(db.pool(), &product, Some(admin.0.id)).await?;
    changes.tell([created.product.id]);
    Ok((Status::Created, created.into()))
}

/// Edit a product
///
/// Only what is given changes. A stock is absolute, and what it changes by is recorded as a movement. With `If-Match`,
/// only if the product is in one of those states: so two who edit it at once do not undo each other.
#[utoipa::path(
    put,
    path = "/products/{id}",
    tag = "products",
    operation_id = "updateProduct",
    security(("token" = [])),
    params(
        ("id" = ProductId, Path, description = "Which product"),
        ("If-Match" = Option<String>, Header, pattern = r#"^(\*|[ \t,]*(W/)?"[!#-~]*"([ \t]*,[ \t,]*(W/)?"[!#-~]*")*[ \t,]*)$"#, description = "The `ETag` that the edit is meant for", example = json!("\"3-17\""))
    ),
    request_body = ProductChangesBody,
    responses(
        (status = 200, description = "The product as it is now", body = Product, headers(("ETag" = String, description = "For `If-Match`"))),
        Problems<(ForAdmins, Limits, Parameters, Bodies, NoProduct, Conditions, Commits, Skus)>
    )
)]
#[put("/products/<id>", data = "<body>")]
pub(crate) async fn update(
    admin: Admin,
    _limit: Limited<Writes>,
    id: &str,
    expected: IfMatch,
    body: Body<ProductChangesBody>,
    told: &State<Changes>,
    db: &Db,
) -> Result<Etagged<Product>, ApiError> {
    let id = paging::id("id", id)?;
    let Body(ProductChangesBody { sku, name, description, price, stock }) = body;
    let changes = ProductChanges { sku, name, description, price, stock };
    let updated = queries::update(db.pool(), id, &expected.0, &changes, Some(admin.0.id)).await?;
    told.tell([id]);
    Ok(updated.into())
}

/// Take a product out of the catalogue
///
/// Orders that hold it go on showing it.
#[utoipa::path(
    delete,
    path = "/products/{id}",
    tag = "products",
    operation_id = "deleteProduct",
    security(("token" = [])),
    params(
        ("id" = ProductId, Path, description = "Which product"),
        ("If-Match" = Option<String>, Header, pattern = r#"^(\*|[ \t,]*(W/)?"[!#-~]*"([ \t]*,[ \t,]*(W/)?"[!#-~]*")*[ \t,]*)$"#, description = "The `ETag` that is meant", example = json!("\"3-17\""))
    ),
    responses(
        (status = 204, description = "It is gone"),
        Problems<(ForAdmins, Limits, Parameters, NoProduct, Conditions, Commits)>
    )
)]
#[delete("/products/<id>")]
pub(crate) async fn delete(
    _admin: Admin,
    _limit: Limited<Writes>,
    id: &str,
    expected: IfMatch,
    changes: &State<Changes>,
    db: &Db,
) -> Result<Status, ApiError> {
    let id = paging::id("id", id)?;
    queries::delete(db.pool(), id, &expected.0).await?;
    changes.tell([id]);
    Ok(Status::NoContent)
}

pub(crate) fn no_such_product(id: ProductId) -> ApiError {
    ApiError::NotFound { what: "product", id: id.to_string() }
}
