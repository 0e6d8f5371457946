//! `/orders`: a customer's own orders.

use std::io::Cursor;

use rocket::http::{ContentType, Header, Status};
use rocket::response::{self, Responder, Response};
use rocket::serde::json::Json;
use rocket::{Request, State, get, post};
use serde::Deserialize;
use shop_common::chaos;
use shop_common::events::Announcer;
use shop_common::id::{OrderId, ProductId};
use shop_common::orders::cancel::CancelError;
use shop_common::orders::decision::{Decision, NewOrder, Placed};
use shop_common::orders::idempotency::Answer;
use shop_common::orders::place::Placement;
use shop_common::orders::queries::{self, OrderColumn};
use shop_common::orders::{self, Lines, Order, Quantity};
use shop_common::pagination::{Direction, Page};
use shop_common::payments::PaymentMethod;

use crate::auth::guard::Caller;
use crate::body::{Body, Object};
use crate::db::{Db, RedisDb};
use crate::error::ApiError;
use crate::idempotency::Key;
use crate::paging::ListQuery;
use crate::rate_limit::{Limited, Reads, Writes};
use crate::requests::RequestId;

const COLUMNS: [(&str, OrderColumn); 5] = [
    ("id", OrderColumn::Id),
    ("status", OrderColumn::Status),
    ("total", OrderColumn::Total),
    ("createdAt", OrderColumn::CreatedAt),
    ("updatedAt", OrderColumn::UpdatedAt),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct OrderBody {
    items: Vec<Object<ItemBody>>,
    payment_method: Option<PaymentMethod>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ItemBody {
    product_id: ProductId,
    quantity: Quantity,
}

#[post("/orders", data = "<body>")]
pub(crate) async fn place(
    caller: Caller,
    _limit: Limited<Writes>,
    key: Key,
    request_id: RequestId,
    body: Body<OrderBody>,
    placement: &State<Placement>,
) -> Result<PlacedAnswer, ApiError> {
    let Body(OrderBody { items, payment_method }) = body;
    let lines = Lines::new(items.into_iter().map(|Object(item)| (item.product_id, item.quantity)))
        .map_err(|error| ApiError::InvalidBody(error.to_string()))?;
    let order = NewOrder {
        customer: caller.id,
        lines,
        payment_method: payment_method.unwrap_or_default(),
        key: key.0,
        request_id: Some(request_id.as_str().to_owned()),
    };
    let placed = placement.place(order).await?;
    chaos::step("place.before_answer");
    Ok(PlacedAnswer(placed))
}

#[get("/orders?<query..>")]
pub(crate) async fn list(
    caller: Caller,
    _limit: Limited<Reads>,
    query: ListQuery<'_>,
    db: &Db,
) -> Result<Json<Page<Order>>, ApiError> {
    let page = query.parse(&COLUMNS, Direction::Descending)?;
    Ok(Json(queries::list(db.pool(), caller.id, &page).await?))
}

/// Somebody else's order is not found either: a customer cannot even learn that it exists.
#[get("/orders/<id>")]
pub(crate) async fn show(caller: Caller, _limit: Limited<Reads>, id: &str, db: &Db) -> Result<Json<Order>, ApiError> {
    let id = order_id(id)?;
    queries::find(db.pool(), caller.id, id)
        .await?
        .map(Json)
        .ok_or_else(|| ApiError::NotFound { what: "order", id: id.to_string() })
}

/// The same again for an order that is cancelled already, so that it can be sent again when its answer got lost.
#[post("/orders/<id>/cancel")]
pub(crate) async fn cancel(
    caller: Caller,
    _limit: Limited<Writes>,
    id: &str,
    db: &Db,
    redis: &RedisDb,
) -> Result<Json<Order>, ApiError> {
    let id = order_id(id)?;
    let announcer = Announcer::new(redis.redis().clone());
    orders::cancel::cancel(db.pool(), &announcer, caller.id, id).await.map(Json).map_err(|error| match error {
        CancelError::NotFound => ApiError::NotFound { what: "order", id: id.to_string() },
        CancelError::ChargeInFlight => ApiError::ChargeInFlight,
        CancelError::AlreadyEnded(status) => ApiError::OrderAlreadyEnded(status),
        CancelError::Database(error) => error.into(),
        CancelError::Unknown(_) | CancelError::Silent => ApiError::OutcomeUnknown,
    })
}

fn order_id(id: &str) -> Result<OrderId, ApiError> {
    id.parse().map_err(|_| ApiError::InvalidParameter { parameter: "id", problem: "it must be a UUID".to_owned() })
}

/// What a decision is on the wire. It may be kept under a key and given again, so nothing of this request is in it.
pub(crate) fn render(decision: &Decision) -> Answer {
    let (status, body) = match decision {
        Decision::Placed(order) => (Status::Created, serde_json::to_vec(order).unwrap_or_default()),
        Decision::Refused(refusal) => {
            let error = ApiError::Refused(refusal.clone());
            (error.status(), error.body(None))
        }
    };
    Answer { status: i16::try_from(status.code).unwrap_or(i16::MAX), body: body.into() }
}

/// A decision's bytes, fresh or kept.
pub(crate) struct PlacedAnswer(Placed);

impl<'r> Responder<'r, 'static> for PlacedAnswer {
    fn respond_to(self, _: &'r Request<'_>) -> response::Result<'static> {
        let Placed { answer, replayed } = self.0;
        let status = u16::try_from(answer.status).map_or(Status::InternalServerError, Status::new);
        let content =
            if status.code < 400 { ContentType::JSON } else { ContentType::new("application", "problem+json") };
        let mut response = Response::build();
        response.status(status).header(content).sized_body(answer.body.len(), Cursor::new(answer.body));
        if replayed {
            response.header(Header::new("Idempotency-Replayed", "true"));
        }
        response.ok()
    }
}
