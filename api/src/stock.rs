//! `/stock`: how the stock of a product came to be what it is, for admins.

use rocket::get;
use shop_common::id::ProductId;
use shop_common::pagination::{Direction, Page};
use shop_common::products::movements::{self, Movement, MovementColumn};

use crate::auth::guard::Admin;
use crate::db::Db;
use crate::error::ApiError;
use crate::openapi::problems::{Cursors, ForAdmins, Limits, NoProduct, Parameters, Problems, Reading};
use crate::paging::{self, ListQuery, Paged};
use crate::products::no_such_product;
use crate::query::NamedOnce;
use crate::rate_limit::{Limited, Reads};

const COLUMNS: [(&str, MovementColumn); 1] = [("id", MovementColumn::Id)];

/// List the movements of a product's stock
///
/// Every change that was not an order, the newest first.
#[utoipa::path(
    get,
    path = "/stock/{product}/movements",
    tag = "products",
    operation_id = "listMovements",
    security(("token" = [])),
    params(("product" = ProductId, Path, description = "Which product"), ListQuery, ("If-None-Match" = Option<String>, Header, description = "An `ETag` of before: if it is still that, 304")),
    responses(
        (status = 200, description = "A page of movements", body = Page<Movement>, headers(("ETag" = String, description = "For `If-None-Match`"), ("Link" = Option<String>, description = "The next page, `rel=\"next\"`"))),
        (status = 304, description = "It is what `If-None-Match` says"),
        Problems<(ForAdmins, Limits, Parameters, Cursors, NoProduct, Reading)>
    )
)]
#[get("/stock/<product>/movements?<query..>")]
pub(crate) async fn list(
    _admin: Admin,
    _limit: Limited<Reads>,
    product: &str,
    _once: NamedOnce,
    query: ListQuery<'_>,
    db: &Db,
) -> Result<Paged<Movement>, ApiError> {
    let product = paging::id("id", product)?;
    let page = query.parse(&COLUMNS, Direction::Descending, &product)?;
    movements::list(db.pool(), product, &page).await?.map(Paged::private).ok_or_else(|| no_such_product(product))
}
