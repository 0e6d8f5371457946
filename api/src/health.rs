//! How the server is: for load balancers, for Prometheus, for people.

use metrics_exporter_prometheus::PrometheusHandle;
use rocket::fairing::AdHoc;
use rocket::http::{ContentType, Status};
use rocket::serde::json::Json;
use rocket::{State, get};
use rocket_db_pools::Database;
use shop_common::health::{self, Readiness};

use crate::db::{Db, RedisDb};

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

/// The process is there.
#[get("/livez")]
pub(crate) fn live() -> &'static str {
    "ok\n"
}

/// Whether traffic should come, and what is away. Without Redis the shop is degraded but takes orders.
#[get("/readyz")]
pub(crate) async fn ready(db: &Db, redis: &RedisDb) -> (Status, Json<Readiness>) {
    let readiness = health::check(db.pool(), redis.redis()).await;
    let status = if readiness.can_serve() { Status::Ok } else { Status::ServiceUnavailable };
    (status, Json(readiness))
}

/// The counts, for Prometheus.
#[get("/metrics")]
pub(crate) fn metrics(metrics: &State<PrometheusHandle>) -> (ContentType, String) {
    (ContentType::new("text", "plain").with_params([("version", "0.0.4"), ("charset", "utf-8")]), metrics.render())
}
