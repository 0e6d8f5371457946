//! How the server is: for load balancers, for Prometheus, for people.

use metrics_exporter_prometheus::PrometheusHandle;
use rocket::fairing::AdHoc;
use rocket::http::{ContentType, Status};
use rocket::serde::json::Json;
use rocket::{State, get};
use rocket_db_pools::Database;
use shop_common::health::{self, Readiness};

use crate::db::{Db, RedisDb};
use crate::openapi::problems::Problems;

/// Looks once, at the start, whether Redis is set up to keep what it is told.
pub(crate) fn eviction_warning() -> AdHoc {
    AdHoc::on_liftoff("Eviction policy", |rocket| {
        Box::pin(async move {
            if let Some(redis) = RedisDb::fetch(rocket) {
                health::warn_of_eviction(redis.redis()).await;
            }
        })
    })
}

/// Ask whether the process is there
#[utoipa::path(
    get,
    path = "/livez",
    tag = "health",
    operation_id = "live",
    responses((status = 200, description = "It is", body = String, content_type = "text/plain"), Problems<()>)
)]
#[get("/livez")]
pub(crate) fn live() -> &'static str {
    "ok\n"
}

/// Ask whether traffic should come, and what is away
///
/// Without Redis the shop is degraded but takes orders.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    operation_id = "ready",
    responses(
        (status = 200, description = "It should", body = Readiness),
        (status = 503, description = "It should not", body = Readiness)
    )
)]
#[get("/readyz")]
pub(crate) async fn ready(db: &Db, redis: &RedisDb) -> (Status, Json<Readiness>) {
    let readiness = health::check(db.pool(), redis.redis()).await;
    let status = if readiness.can_serve() { Status::Ok } else { Status::ServiceUnavailable };
    (status, Json(readiness))
}

/// Read the counts, for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    operation_id = "metrics",
    responses((status = 200, description = "In Prometheus' text format", body = String, content_type = "text/plain"), Problems<()>)
)]
#[get("/metrics")]
pub(crate) fn metrics(metrics: &State<PrometheusHandle>) -> (ContentType, String) {
    (ContentType::new("text", "plain").with_params([("version", "0.0.4"), ("charset", "utf-8")]), metrics.render())
}
