//! `/products`: the catalogue, public to read, kept by admins.

use rocket::http::Status;
use rocket::serde::json::Json;
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
use crate::paging::ListQuery;
use crate::rate_limit::{Limited, Reads, Writes};

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
pub(crate) async fn list(
    _limit: Limited<Reads>,
    query: ListQuery<'_>,
    db: &Db,
) -> Result<Json<Page<Product>>, ApiError> {
    let page = query.parse(&COLUMNS, Direction::Ascending)?;
    Ok(Json(queries::list(db.pool(), &page).await?))
}

#[get("/products/<id>")]
pub(crate) async fn show(_limit: Limited<Reads>, id: &str, db: &Db) -> Result<Json<Product>, ApiError> {
    let id = parse_id(id)?;
    queries::find(db.pool(), id).await?.map(Json).ok_or_else(|| no_such_product(id))
}

#[post("/products", data = "<body>")]
pub(crate) async fn create(
    admin: Admin,
    _limit: Limited<Writes>,
    body: Body<ProductBody>,
    db: &Db,
) -> Result<(Status, Json<Product>), ApiError> {
    let Body(ProductBody { name, description, price, stock }) = body;
    let product = NewProduct { name, description, price, stock };
    Ok((Status::Created, Json(queries::create(db.pool(), &product, Some(admin.0.id)).await?)))
}

#[put("/products/<id>", data = "<body>")]
pub(crate) async fn update(
    admin: Admin,
    _limit: Limited<Writes>,
    id: &str,
    body: Body<ProductChangesBody>,
    db: &Db,
) -> Result<Json<Product>, ApiError> {
    let id = parse_id(id)?;
    let Body(ProductChangesBody { name, description, price, stock }) = body;
    let changes = ProductChanges { name, description, price, stock };
    queries::update(db.pool(), id, &changes, Some(admin.0.id)).await?.map(Json).ok_or_else(|| no_such_product(id))
}

#[delete("/products/<id>")]
pub(crate) async fn delete(_admin: Admin, _limit: Limited<Writes>, id: &str, db: &Db) -> Result<Status, ApiError> {
    let id = parse_id(id)?;
    if queries::delete(db.pool(), id).await? { Ok(Status::NoContent) } else { Err(no_such_product(id)) }
}

fn parse_id(text: &str) -> Result<ProductId, ApiError> {
    text.parse().map_err(|_| ApiError::InvalidParameter { parameter: "id", problem: "it must be a UUID".to_owned() })
}

fn no_such_product(id: ProductId) -> ApiError {
    ApiError::NotFound { what: "product", id: id.to_string() }
}
