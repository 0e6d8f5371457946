//! `/products`: the catalogue, public to read, kept by admins.

use rocket::http::Status;
use rocket::{delete, get, post, put};
use serde::Deserialize;
use shop_common::id::ProductId;
use shop_common::pagination::{Direction, Page};
use shop_common::products::{
    Description, NewProduct, Price, Product, ProductChanges, ProductColumn, ProductName, Stock, queries,
};

use crate::auth::guard::Admin;
use crate::body::Body;
use crate::db::Db;
use crate::error::ApiError;
use crate::etag::{Etagged, IfMatch};
use crate::paging::ListQuery;
use crate::rate_limit::{Limited, Writes};

const COLUMNS: [(&str, ProductColumn); 6] = [
    ("id", ProductColumn::Id),
    ("name", ProductColumn::Name),
    ("price", ProductColumn::Price),
    ("stock", ProductColumn::Stock),
    ("createdAt", ProductColumn::CreatedAt),
    ("updatedAt", ProductColumn::UpdatedAt),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductBody {
    name: ProductName,
    #[serde(default)]
    description: Description,
    price: Price,
    stock: Stock,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductChangesBody {
    name: Option<ProductName>,
    description: Option<Description>,
    price: Option<Price>,
    stock: Option<Stock>,
}

#[get("/products?<query..>")]
pub(crate) async fn list(query: ListQuery<'_>, db: &Db) -> Result<Etagged<Page<Product>>, ApiError> {
    let page = query.parse(&COLUMNS, Direction::Ascending)?;
    Ok(Etagged::public(queries::list(db.pool(), &page).await?))
}

#[get("/products/<id>")]
pub(crate) async fn show(id: &str, db: &Db) -> Result<Etagged<Product>, ApiError> {
    let id = parse_id(id)?;
    let product = queries::find(db.pool(), id).await?;
    product.map(Etagged::from).ok_or_else(|| ApiError::NotFound { what: "product", id: id.to_string() })
}

#[post("/products", data = "<body>")]
pub(crate) async fn create(
    admin: Admin,
    _limit: Limited<Writes>,
    body: Body<ProductBody>,
    db: &Db,
) -> Result<(Status, Etagged<Product>), ApiError> {
    let Body(ProductBody { name, description, price, stock }) = body;
    let product = NewProduct { name, description, price, stock };
    Ok((Status::Created, queries::create(db.pool(), &product, Some(admin.0.id)).await?.into()))
}

/// With `If-Match`, only if the product is in one of those states: so two who edit it at once do not undo each other.
#[put("/products/<id>", data = "<body>")]
pub(crate) async fn update(
    admin: Admin,
    _limit: Limited<Writes>,
    id: &str,
    expected: IfMatch,
    body: Body<ProductChangesBody>,
    db: &Db,
) -> Result<Etagged<Product>, ApiError> {
    let id = parse_id(id)?;
    let Body(ProductChangesBody { name, description, price, stock }) = body;
    let changes = ProductChanges { name, description, price, stock };
    Ok(queries::update(db.pool(), id, &expected.0, &changes, Some(admin.0.id)).await?.into())
}

#[delete("/products/<id>")]
pub(crate) async fn delete(
    _admin: Admin,
    _limit: Limited<Writes>,
    id: &str,
    expected: IfMatch,
    db: &Db,
) -> Result<Status, ApiError> {
    queries::delete(db.pool(), parse_id(id)?, &expected.0).await?;
    Ok(Status::NoContent)
}

fn parse_id(text: &str) -> Result<ProductId, ApiError> {
    text.parse().map_err(|_| ApiError::InvalidParameter { parameter: "id", problem: "it must be a UUID".to_owned() })
}
