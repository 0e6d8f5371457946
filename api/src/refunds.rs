//! `/orders/{id}/refund`: an admin gives a paid order back. Here it is only asked for; the money is a worker's to move.

use rocket::http::Status;
use rocket::post;
use rocket::serde::json::Json;
use serde::Deserialize;
use shop_common::id::{JobId, OrderId};
use shop_common::jobs::queue::Queue;
use shop_common::orders::Order;
use shop_common::orders::refund::{self, NewRefund, RefundError, RefundStatus, Requested};
use shop_common::orders::status::OrderStatus;
use shop_common::reason::Reason;
use utoipa::ToSchema;

use crate::about::Asked;
use crate::auth::guard::Admin;
use crate::body::Body;
use crate::db::{Db, RedisDb};
use crate::error::ApiError;
use crate::openapi::problems::{Bodies, Commits, ForAdmins, Limits, NoOrder, Parameters, Problems, errors};
use crate::paging;
use crate::rate_limit::{Limited, Writes};

/// How an order is to be refunded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundBody {
    /// Whether the pieces go back into stock: nobody but the admin knows.
    restock: bool,
    reason: Option<Reason>,
}

errors! {
    /// An order may not be paid, or its refund be asked for otherwise.
    Refunding:
        ApiError::OrderNotRefundable(OrderStatus::Processing),
        ApiError::RefundAlreadyRequested { restock: true },
}

/// Refund an order
///
/// The whole of it, once. 202 while it is to be done and 200 when it is done; the same again for the same choice, so that
/// it can be sent again when its answer got lost.
#[utoipa::path(
    post,
    path = "/orders/{id}/refund",
    tag = "orders",
    operation_id = "refundOrder",
    security(("token" = [])),
    params(("id" = OrderId, Path, description = "Which order")),
    request_body = RefundBody,
    responses(
        (status = 200, description = "The order; the money is back", body = Order),
        (status = 202, description = "The order; a worker gives the money back", body = Order),
        Problems<(ForAdmins, Limits, Parameters, Bodies, NoOrder, Refunding, Commits)>
    )
)]
#[post("/orders/<id>/refund", data = "<body>")]
pub(crate) async fn request(
    admin: Admin,
    _limit: Limited<Writes>,
    asked: Asked,
    id: &str,
    body: Body<RefundBody>,
    db: &Db,
    redis: &RedisDb,
) -> Result<(Status, Json<Order>), ApiError> {
    let order = paging::id("id", id)?;
    let Body(RefundBody { restock, reason }) = body;
    let Asked { request_id, trace, about } = asked;
    let (requested_by, request_id, trace) = (Some(admin.0.id), Some(request_id), Some(trace));
    let wanted = NewRefund { order, restock, reason, requested_by, request_id, trace };
    let Requested { order, job } = refund::request(db.pool(), wanted).await.map_err(|error| match error {
        RefundError::NotFound => ApiError::NotFound { what: "order", id: id.to_owned() },
        RefundError::NotRefundable(status) => ApiError::OrderNotRefundable(status),
        RefundError::AlreadyRequested { restock } => ApiError::RefundAlreadyRequested { restock },
        RefundError::Database(error) => error.into(),
        RefundError::Unknown(_) | RefundError::Silent => ApiError::OutcomeUnknown,
    })?;
    if let Some(job) = job {
        about.job(job);
        enqueue(Queue::new(redis.redis().clone()), job);
    }
    let done = order.refund.as_ref().is_some_and(|refund| refund.status == RefundStatus::Refunded);
    Ok((if done { Status::Ok } else { Status::Accepted }, Json(order)))
}

/// Tells the schedule, without making the admin wait. What is lost here, reconcile makes good.
fn enqueue(queue: Queue, job: JobId) {
    tokio::spawn(async move {
        if let Err(error) = queue.enqueue(&[job]).await {
            tracing::warn!(%error, "Redis did not take the job of a refund, the reconciler will");
        }
    });
}
