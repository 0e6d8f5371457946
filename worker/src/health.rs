//! How the worker is: the only HTTP that it speaks.

use std::sync::Arc;

use rocket::figment::Figment;
use rocket::http::{ContentType, Status};
use rocket::serde::json::Json;
use rocket::{Build, Rocket, State, get, routes};
use shop_common::health::{self, Heartbeat, Own, Readiness};
use shop_common::metrics::Exporter;
use shop_common::redis::Redis;
use tokio_util::sync::CancellationToken;

use crate::runner::Runner;

/// What a worker knows of itself.
pub(crate) fn own(runner: &Runner, draining: &CancellationToken) -> Own {
    let heartbeat = Heartbeat::new(runner.heard().age(), runner.lease());
    Own { draining: draining.is_cancelled(), heartbeat: Some(heartbeat) }
}

/// Cancelled when the worker is told to stop.
pub(crate) struct Draining(pub(crate) CancellationToken);

/// The health server. The daemon hears the signals itself, so Rocket does not.
pub(crate) fn server(
    figment: Figment,
    runner: Arc<Runner>,
    redis: Redis,
    draining: Draining,
    metrics: Exporter,
) -> Rocket<Build> {
    let figment = Figment::from(rocket::Config::default())
        .merge(figment)
        .merge(("workers", 1))
        .merge(("shutdown.ctrlc", false))
        .merge(("shutdown.signals", Vec::<String>::new()))
        .merge(("shutdown.grace", 0))
        .merge(("shutdown.mercy", 0));
    let rocket = rocket::custom(figment).manage(runner).manage(redis).manage(draining).manage(metrics);
    rocket.mount("/", routes![live, ready, render])
}

#[get("/livez")]
fn live() -> &'static str {
    "ok\n"
}

#[get("/readyz")]
async fn ready(
    runner: &State<Arc<Runner>>,
    redis: &State<Redis>,
    draining: &State<Draining>,
) -> (Status, Json<Readiness>) {
    let readiness = health::check(runner.pool(), redis, own(runner, &draining.0)).await;
    let status = if readiness.can_serve() { Status::Ok } else { Status::ServiceUnavailable };
    (status, Json(readiness))
}

#[get("/metrics")]
fn render(metrics: &State<Exporter>) -> (ContentType, String) {
    (ContentType::new("text", "plain").with_params([("version", "0.0.4"), ("charset", "utf-8")]), metrics.render())
}
