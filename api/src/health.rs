//! How the server is: for load balancers, for Prometheus, for people.

use rocket::fairing::AdHoc;
use rocket::futures::FutureExt;
use rocket::http::{ContentType, Status};
use rocket::serde::json::Json;
use rocket::{Shutdown, State, get};
use rocket_db_pools::Database;
use shop_common::health::{self, Own, Readiness};
use shop_common::metrics::{Exporter, servers};

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

/// Looks at both servers for the metrics, until the api stops.
pub(crate) fn watch(metrics: Exporter) -> AdHoc {
    AdHoc::on_liftoff("Servers", |rocket| {
        Box::pin(async move {
            let (Some(db), Some(redis)) = (Db::fetch(rocket), RedisDb::fetch(rocket)) else { return };
            servers::show_pool(&metrics, db.pool());
            let watching = servers::watch(db.pool().clone(), redis.redis().clone(), Own::default);
            let shutdown = rocket.shutdown();
            tokio::spawn(async move {
                tokio::select! {
                    () = watching => {}
                    () = shutdown => {}
                }
            });
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

/// Ask whether traffic should come, and what is missing
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
pub(crate) async fn ready(db: &Db, redis: &RedisDb, shutdown: Shutdown) -> (Status, Json<Readiness>) {
    let own = Own { draining: shutdown.now_or_never().is_some(), heartbeat: None };
    let readiness = health::check(db.pool(), redis.redis(), own).await;
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
pub(crate) fn metrics(metrics: &State<Exporter>) -> (ContentType, String) {
    (ContentType::new("text", "plain").with_params([("version", "0.0.4"), ("charset", "utf-8")]), metrics.render())
}

#[cfg(test)]
mod tests {
    use rocket::local::asynchronous::Client;
    use serde_json::Value;
    use shop_common::config;
    use shop_common::metrics::Daemon;

    use super::*;

    /// Over a socket this can hardly be seen: Rocket takes no connections any more then.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_api_that_goes_down_is_not_ready() {
        let secret = ("auth.jwt_secret", "0f9d2c7be8a1456394d7c0ab12ef5678");
        let figment = config::with_stack(config::figment().unwrap(), &[secret]);
        let settings = figment.extract().unwrap();
        let metrics = Exporter::install(Daemon::Api).unwrap();
        let client = Client::untracked(crate::rocket(figment, settings, metrics).unwrap()).await.unwrap();

        client.rocket().shutdown().notify();

        let answer = client.get("/readyz").dispatch().await;
        assert_eq!(answer.status(), Status::ServiceUnavailable);
        let told: Value = serde_json::from_str(&answer.into_string().await.unwrap()).unwrap();
        assert_eq!((&told["status"], &told["process"]["status"]), (&"draining".into(), &"failing".into()));
    }
}
