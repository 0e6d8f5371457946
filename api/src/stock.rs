//! `/stock`: how the stock of a product came to be what it is, for admins.

use rocket::get;
use shop_common::pagination::Direction;
use shop_common::products::movements::{self, Movement, MovementColumn};

use crate::auth::guard::Admin;
use crate::db::Db;
use crate::error::ApiError;
use crate::paging::{ListQuery, Paged};
use crate::products::{no_such_product, parse_id};
use crate::rate_limit::{Limited, Reads};

const COLUMNS: [(&str, MovementColumn); 1] = [("id", MovementColumn::Id)];

#[get("/stock/<product>/movements?<query..>")]
pub(crate) async fn list(
    _admin: Admin,
    _limit: Limited<Reads>,
    product: &str,
    query: ListQuery<'_>,
    db: &Db,
) -> Result<Paged<Movement>, ApiError> {
    let product = parse_id(product)?;
    let page = query.parse(&COLUMNS, Direction::Descending, &product)?;
    movements::list(db.pool(), product, &page).await?.map(Paged::private).ok_or_else(|| no_such_product(product))
}
