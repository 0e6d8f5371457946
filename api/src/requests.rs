//! What holds for every request: its id, its log line, its count.

use std::sync::OnceLock;
use std::time::Instant;

use rocket::fairing::{AdHoc, Fairing, Info, Kind};
use rocket::http::Header;
use rocket::{Build, Data, Request, Response, Rocket, fairing};
use shop_common::id::OrderId;
use uuid::Uuid;

use crate::about::{About, Said};
use crate::client_address::ClientAddress;
use crate::route_metrics::RouteMetrics;
use crate::trace::Trace;

/// The name by which a request is found in the logs of the api and the worker:
/// the client's `X-Request-Id` if it is a plain token, else one of our own.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(String);

struct Started(Instant);

impl RequestId {
    pub(crate) fn of<'r>(request: &'r Request<'_>) -> &'r Self {
        request.local_cache(|| {
            let plain = |id: &&str| {
                (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            };
            let given = request.headers().get_one("X-Request-Id").filter(plain);
            Self(given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned))
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Logs and counts each request when it has been answered.
#[derive(Default)]
pub(crate) struct Requests {
    /// The counters of all routes, from when those are mounted.
    counted: OnceLock<RouteMetrics>,
}

#[rocket::async_trait]
impl Fairing for Requests {
    fn info(&self) -> Info {
        Info { name: "Requests", kind: Kind::Ignite | Kind::Request | Kind::Response }
    }

    async fn on_ignite(&self, rocket: Rocket<Build>) -> fairing::Result {
        self.counted.get_or_init(|| RouteMetrics::new(rocket.routes()));
        Ok(rocket)
    }

    async fn on_request(&self, request: &mut Request<'_>, _: &mut Data<'_>) {
        request.local_cache(|| Started(Instant::now()));
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        let id = RequestId::of(request).as_str();
        let elapsed = request.local_cache(|| Started(Instant::now())).0.elapsed();
        let status = response.status().code;
        let route = request.route().map_or_else(|| "none".to_owned(), |route| route.uri.to_string());
        let method = request.method().as_str();
        let parent = Trace::of(request).context().parent;
        let said @ Said { user, order, payment, job, .. } = About::of(request).said();
        tracing::info!(
            request_id = id,
            trace_id = %parent.trace_id,
            span_id = %parent.span_id,
            client = %ClientAddress::of(request),
            user_id = user.map(display),
            method,
            route,
            order_id = order.or_else(|| order_of(request)).map(display),
            payment_id = payment.map(display),
            job_id = job.map(display),
            status,
            outcome = said.outcome(),
            us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            "request"
        );
        if let Some(counted) = self.counted.get() {
            counted.count(request, status, elapsed);
        }
        response.set_header(Header::new("X-Request-Id", id.to_owned()));
    }
}

/// The order that a request names in its path.
fn order_of(request: &Request<'_>) -> Option<OrderId> {
    request.route().filter(|route| route.uri.path().starts_with("/orders/<id>"))?;
    request.param::<&str>(1)?.ok()?.parse().ok()
}

/// Says where the server listens, once it does.
pub(crate) fn announcement() -> AdHoc {
    AdHoc::on_liftoff("Announcement", |rocket| {
        Box::pin(async move {
            let config = rocket.config();
            tracing::info!(address = %config.address, port = config.port, "shop-api listens");
        })
    })
}
