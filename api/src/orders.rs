//! `/orders`: a customer's own orders.

use std::io::Cursor;

use chrono::DateTime;
use rocket::http::{ContentType, Header, Status};
use rocket::response::{self, Responder, Response};
use rocket::serde::json::Json;
use rocket::{FromForm, Request, State, get, post};
use serde::Deserialize;
use serde_json::Value;
use shop_common::chaos;
use shop_common::events::Announcer;
use shop_common::id::{OrderId, ProductId, UserId};
use shop_common::orders::cancel::CancelError;
use shop_common::orders::decision::{Decision, NewOrder, Placed, Refusal};
use shop_common::orders::idempotency::Answer;
use shop_common::orders::place::Placement;
use shop_common::orders::queries::{self, OrderColumn, OrderFilter};
use shop_common::orders::status::OrderStatus;
use shop_common::orders::timeline::{self, Timeline};
use shop_common::orders::{self, Lines, LinesError, Order, Quantity};
use shop_common::pagination::{Direction, MAX_TAKE, Page};
use shop_common::payments::PaymentMethod;
use shop_common::time::Timestamp;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::about::{About, Asked};
use crate::auth::guard::Caller;
use crate::body::{Body, Object};
use crate::db::Db;
use crate::error::ApiError;
use crate::etag::Etagged;
use crate::idempotency::Key;
use crate::openapi::problems::{
    Bodies, Commits, Cursors, Limits, NoOrder, Parameters, Problems, Reading, SignedIn, errors,
};
use crate::paging::{self, ListQuery, Paged, invalid, number};
use crate::query::NamedOnce;
use crate::rate_limit::{Limited, Reads, Writes};

const COLUMNS: [(&str, OrderColumn); 5] = [
    ("id", OrderColumn::Id),
    ("status", OrderColumn::Status),
    ("total", OrderColumn::Total),
    ("createdAt", OrderColumn::CreatedAt),
    ("updatedAt", OrderColumn::UpdatedAt),
];

/// The same, the time first: it is what a list is sorted by that is chosen by time.
const COLUMNS_BY_TIME: [(&str, OrderColumn); 5] = [COLUMNS[3], COLUMNS[0], COLUMNS[1], COLUMNS[2], COLUMNS[4]];

/// A cart to be ordered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct OrderBody {
    /// What is in it; lines of the same product become one.
    #[schema(value_type = Vec<ItemBody>, min_items = 1, max_items = 1000)]
    items: Vec<Object<ItemBody>>,
    /// How it is paid; without it, by the method `test`, which follows the settings of the simulated gateway.
    payment_method: Option<PaymentMethod>,
}

/// A line of a cart.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ItemBody {
    product_id: ProductId,
    // Whatever it is: that it is no quantity has a code of its own.
    #[schema(value_type = Quantity)]
    quantity: Value,
}

impl ItemBody {
    /// What is ordered, if that many can be.
    fn line(&self) -> Result<(ProductId, Quantity), ApiError> {
        let quantity = Quantity::deserialize(&self.quantity).ok();
        let of_product = || ApiError::InvalidQuantity(format!("that of product {} is none", self.product_id));
        Ok((self.product_id, quantity.ok_or_else(of_product)?))
    }
}

errors! {
    /// An order may be refused, or its key be in the way.
    Placing:
        ApiError::InvalidQuantity("that of product 01890000-0000-7000-8000-000000000000 is none".to_owned()),
        ApiError::TooManyItems,
        ApiError::Refused(Refusal::UnknownProduct(ProductId(Uuid::nil()))),
        ApiError::Refused(Refusal::InsufficientStock { product: ProductId(Uuid::nil()), requested: 5, available: 2 }),
        ApiError::Refused(Refusal::TotalTooLarge),
        ApiError::KeyReused,
        ApiError::KeyInFlight,
}

/// Place an order
///
/// Its stock is taken at once, all lines or none; it is paid by a worker. With a key it may be sent any number of
/// times within 24 hours, and the first answer is given again byte for byte.
#[utoipa::path(
    post,
    path = "/orders",
    tag = "orders",
    operation_id = "placeOrder",
    security(("token" = [])),
    params((
        "Idempotency-Key" = Option<String>, Header, max_length = 255, pattern = "^[!#-~]([ -~]*[!#-~])?$", example = "cart-7",
        description = "A name for this order, 1 to 255 printable ASCII characters, bare or quoted"
    )),
    request_body = OrderBody,
    responses(
        (
            status = 201, description = "The order was accepted", body = Order,
            links(
                ("show" = (operation_id = "showOrder", parameters(("id" = "$response.body#/id")))),
                ("events" = (operation_id = "listEvents", parameters(("id" = "$response.body#/id")))),
                ("cancel" = (operation_id = "cancelOrder", parameters(("id" = "$response.body#/id")))),
                ("refund" = (operation_id = "refundOrder", parameters(("id" = "$response.body#/id"))))
            ),
            headers(("Idempotency-Replayed" = Option<String>, description = "`true` when it is the answer of an earlier request"))
        ),
        Problems<(SignedIn, Limits, Parameters, Bodies, Placing, Commits)>
    )
)]
#[post("/orders", data = "<body>")]
pub(crate) async fn place(
    caller: Caller,
    _limit: Limited<Writes>,
    key: Key,
    asked: Asked,
    body: Body<OrderBody>,
    placement: &State<Placement>,
) -> Result<PlacedAnswer, ApiError> {
    let Body(OrderBody { items, payment_method }) = body;
    let lines = items.iter().map(|Object(item)| item.line()).collect::<Result<Vec<_>, _>>()?;
    let lines = Lines::new(lines).map_err(|error| match error {
        LinesError::Empty => ApiError::InvalidBody(error.to_string()),
        LinesError::TooMany => ApiError::TooManyItems,
        LinesError::TooManyPieces(_) => ApiError::InvalidQuantity(error.to_string()),
    })?;
    let order = NewOrder {
        customer: caller.id,
        lines,
        payment_method: payment_method.unwrap_or_default(),
        key: key.0,
        request_id: Some(asked.request_id),
        trace: Some(asked.trace),
    };
    let placed = placement.place(order).await?;
    tell(&asked.about, &placed);
    chaos::step("place.before_answer");
    Ok(PlacedAnswer(placed))
}

/// Says what became of it. Of an earlier request only the answer is kept, and the order is the one in there.
fn tell(about: &About, placed: &Placed) {
    if let Some(made) = placed.made {
        about.made(made);
    }
    about.outcome(match (placed.replayed, placed.made) {
        (true, _) => "replayed",
        (false, Some(_)) => "placed",
        (false, None) => "refused",
    });
    if placed.replayed
        && let Ok(Replayed { id }) = serde_json::from_slice(&placed.answer.body)
    {
        about.order(id);
    }
}

/// The order in an answer that is given again.
#[derive(Deserialize)]
struct Replayed {
    id: OrderId,
}

/// The query of a list of orders, as it came.
#[derive(FromForm, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrdersQuery<'r> {
    /// Rows to pass over.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 100000, default = 0)]
    skip: Option<&'r str>,
    /// Rows wanted.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 10)]
    take: Option<&'r str>,
    /// What to sort by; rows that are equal in it are sorted by id.
    #[field(name = "orderBy")]
    #[param(rename = "orderBy", pattern = "^(id|status|total|createdAt|updatedAt)$", example = "createdAt")]
    order_by: Option<&'r str>,
    /// Which way.
    #[param(pattern = "^(asc|desc)$", example = "desc")]
    order: Option<&'r str>,
    /// The `nextCursor` of the page before, with the rest of the query as it was; not together with `skip`.
    after: Option<&'r str>,
    /// Whose orders, for admins; without it, one's own.
    #[param(value_type = Option<UserId>)]
    user: Option<&'r str>,
    /// Only those with one of these statuses, separated by commas.
    #[param(
        pattern = "^(PENDING|PROCESSING|COMPLETED|FAILED|CANCELLED|REFUNDED)(,(PENDING|PROCESSING|COMPLETED|FAILED|CANCELLED|REFUNDED))*$",
        example = "PENDING,PROCESSING"
    )]
    status: Option<&'r str>,
    /// Only those that were placed then or later.
    #[param(value_type = Option<String>, format = DateTime, example = "2026-01-31T12:00:00Z")]
    from: Option<&'r str>,
    /// Only those that were placed before.
    #[param(value_type = Option<String>, format = DateTime, example = "2026-02-28T12:00:00Z")]
    to: Option<&'r str>,
}

impl<'r> OrdersQuery<'r> {
    fn list(&self) -> ListQuery<'r> {
        let Self { skip, take, order_by, order, after, .. } = *self;
        ListQuery { skip, take, order_by, order, after }
    }

    fn filter(&self, caller: &Caller) -> Result<OrderFilter, ApiError> {
        let owner = match self.user {
            None => caller.id,
            Some(_) if !caller.is_admin() => return Err(ApiError::AdminOnly),
            Some(user) => paging::id("user", user)?,
        };
        let named = match self.status {
            None => Vec::new(),
            Some(names) => names
                .split(',')
                .map(|name| name.trim().parse())
                .collect::<Result<Vec<OrderStatus>, _>>()
                .map_err(|error| invalid("status", format!("{error}; several are separated by commas")))?,
        };
        // However often and in whatever order they were named: the same list has the same cursors.
        let statuses = OrderStatus::ALL.into_iter().filter(|status| named.contains(status)).collect();
        let from = self.from.map(|text| time("from", text)).transpose()?;
        let to = self.to.map(|text| time("to", text)).transpose()?;
        Ok(OrderFilter { statuses, from, to, ..OrderFilter::of(owner) })
    }
}

fn time(parameter: &'static str, text: &str) -> Result<Timestamp, ApiError> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| {
        invalid(parameter, "it must be a time of RFC 3339, for example 2026-01-31T12:00:00Z; write + as %2B".to_owned())
    })?;
    Ok(time.to_utc())
}

/// List your orders
///
/// Sorted by what is asked for; else what is chosen by time by its time, all by id; the newest first.
#[utoipa::path(
    get,
    path = "/orders",
    tag = "orders",
    operation_id = "listOrders",
    security(("token" = [])),
    params(OrdersQuery, ("If-None-Match" = Option<String>, Header, description = "An `ETag` of before: if it is still that, 304")),
    responses(
        (status = 200, description = "A page of orders", body = Page<Order>, headers(("ETag" = String, description = "For `If-None-Match`"), ("Link" = Option<String>, description = "The next page, `rel=\"next\"`"))),
        (status = 304, description = "It is what `If-None-Match` says"),
        Problems<(SignedIn, OthersOrders, Limits, Parameters, Cursors, Reading)>
    )
)]
#[get("/orders?<query..>")]
pub(crate) async fn list(
    caller: Caller,
    _limit: Limited<Reads>,
    _once: NamedOnce,
    query: OrdersQuery<'_>,
    db: &Db,
) -> Result<Paged<Order>, ApiError> {
    let filter = query.filter(&caller)?;
    let by_time = filter.from.is_some() || filter.to.is_some();
    let columns = if by_time { &COLUMNS_BY_TIME } else { &COLUMNS };
    let page = query.list().parse(columns, Direction::Descending, &filter)?;
    Ok(Paged::private(queries::list(db.pool(), &filter, &page).await?))
}

errors! {
    /// Others' orders are for admins.
    OthersOrders: ApiError::AdminOnly
}

/// Show one of your orders
///
/// Somebody else's order is not found either: a customer cannot even learn that it exists.
#[utoipa::path(
    get,
    path = "/orders/{id}",
    tag = "orders",
    operation_id = "showOrder",
    security(("token" = [])),
    params(("id" = OrderId, Path, description = "Which order"), ("If-None-Match" = Option<String>, Header, description = "An `ETag` of before: if it is still that, 304")),
    responses(
        (status = 200, description = "The order", body = Order, headers(("ETag" = String, description = "For `If-None-Match`"))),
        (status = 304, description = "It is what `If-None-Match` says"),
        Problems<(SignedIn, Limits, Parameters, NoOrder, Reading)>
    )
)]
#[get("/orders/<id>")]
pub(crate) async fn show(
    caller: Caller,
    _limit: Limited<Reads>,
    id: &str,
    db: &Db,
) -> Result<Etagged<Order>, ApiError> {
    let id = paging::id("id", id)?;
    queries::find(db.pool(), caller.id, id)
        .await?
        .map(Etagged::private)
        .ok_or_else(|| ApiError::NotFound { what: "order", id: id.to_string() })
}

/// Show what has happened to an order
///
/// Every status and every attempt at its payment, oldest first, for its customer and for admins. It reaches back as far as
/// events are kept (`live.retention_seconds`).
#[utoipa::path(
    get,
    path = "/orders/{id}/events",
    tag = "orders",
    operation_id = "listEvents",
    security(("token" = [])),
    params(
        ("id" = OrderId, Path, description = "Which order"),
        ("after" = Option<i64>, Query, minimum = 0, description = "Only what has a larger `seq`"),
        ("take" = Option<u32>, Query, minimum = 1, maximum = 100, description = "How much of it"),
        ("If-None-Match" = Option<String>, Header, description = "An `ETag` of before: if it is still that, 304")
    ),
    responses(
        (status = 200, description = "What has happened", body = Timeline, headers(("ETag" = String, description = "For `If-None-Match`"))),
        (status = 304, description = "It is what `If-None-Match` says"),
        Problems<(SignedIn, Limits, Parameters, NoOrder, Reading)>
    )
)]
#[get("/orders/<id>/events?<after>&<take>")]
pub(crate) async fn events(
    caller: Caller,
    _limit: Limited<Reads>,
    _once: NamedOnce,
    id: &str,
    after: Option<&str>,
    take: Option<&str>,
    db: &Db,
) -> Result<Etagged<Timeline>, ApiError> {
    let id = paging::id("id", id)?;
    let after = number("after", after, 0, 0..=i64::MAX)?;
    let take = number("take", take, MAX_TAKE, 1..=MAX_TAKE)?;
    let owner = (!caller.is_admin()).then_some(caller.id);
    timeline::of(db.pool(), owner, id, after, take)
        .await?
        .map(Etagged::private)
        .ok_or_else(|| ApiError::NotFound { what: "order", id: id.to_string() })
}

errors! {
    /// An order may be past cancelling.
    Cancelling: ApiError::ChargeInFlight, ApiError::OrderAlreadyEnded(OrderStatus::Completed)
}

/// Cancel one of your orders
///
/// It can be cancelled until a worker charges it. The same again for an order that is cancelled already, so that it can
/// be sent again when its answer got lost.
#[utoipa::path(
    post,
    path = "/orders/{id}/cancel",
    tag = "orders",
    operation_id = "cancelOrder",
    security(("token" = [])),
    params(("id" = OrderId, Path, description = "Which order")),
    responses(
        (status = 200, description = "The order, cancelled", body = Order),
        Problems<(SignedIn, Limits, Parameters, NoOrder, Cancelling, Commits)>
    )
)]
#[post("/orders/<id>/cancel")]
pub(crate) async fn cancel(
    caller: Caller,
    _limit: Limited<Writes>,
    id: &str,
    db: &Db,
    announcer: &State<Announcer>,
) -> Result<Json<Order>, ApiError> {
    let id = paging::id("id", id)?;
    orders::cancel::cancel(db.pool(), announcer, caller.id, id).await.map(Json).map_err(|error| match error {
        CancelError::NotFound => ApiError::NotFound { what: "order", id: id.to_string() },
        CancelError::ChargeInFlight => ApiError::ChargeInFlight,
        CancelError::AlreadyEnded(status) => ApiError::OrderAlreadyEnded(status),
        CancelError::Database(error) => error.into(),
        CancelError::Unknown(_) | CancelError::Silent => ApiError::OutcomeUnknown,
    })
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
        let Placed { answer, replayed, .. } = self.0;
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
