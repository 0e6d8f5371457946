//! How the worker is: the only HTTP that it speaks.

use metrics_exporter_prometheus::PrometheusHandle;
use rocket::figment::Figment;
use rocket::http::{ContentType, Status};
use rocket::serde::json::Json;
use rocket::{Build, Rocket, State, get, routes};
use shop_common::health::{self, Readiness};
use shop_common::redis::Redis;
use sqlx::PgPool;

/// The health server. The daemon hears the signals itself, so Rocket does not.
pub(crate) fn server(figment: Figment, pool: PgPool, redis: Redis, metrics: PrometheusHandle) -> Rocket<Build> {
    let figment = Figment::from(rocket::Config::default())
        .merge(figment)
        .merge(("workers", 1))
        .merge(("shutdown.ctrlc", false))
        .merge(("shutdown.signals", Vec::<String>::new()))
        .merge(("shutdown.grace", 0))
        .merge(("shutdown.mercy", 0));
    rocket::custom(figment).manage(pool).manage(redis).manage(metrics).mount("/", routes![live, ready, render])
}

#[get("/livez")]
fn live() -> &'static str {
    "ok\n"
}

#[get("/readyz")]
async fn ready(pool: &State<PgPool>, redis: &State<Redis>) -> (Status, Json<Readiness>) {
    let readiness = health::check(pool, redis).await;
    let status = if readiness.can_serve() { Status::Ok } else { Status::ServiceUnavailable };
    (status, Json(readiness))
}

#[get("/metrics")]
fn render(metrics: &State<PrometheusHandle>) -> (ContentType, String) {
    (ContentType::new("text", "plain").with_params([("version", "0.0.4"), ("charset", "utf-8")]), metrics.render())
}
