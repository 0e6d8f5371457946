//! How many requests are answered at the same time: what is more is turned away at once, not piled up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rocket::fairing::{Fairing, Info, Kind};
use rocket::{Data, Request, Response};
use shop_common::metrics::Exporter;

use crate::catchers;
use crate::error::ApiError;

/// Who has to be told how the server is gets through; sockets are limited by their users, and a poll of theirs waits for long.
const LET_THROUGH: [&str; 5] = ["/livez", "/readyz", "/metrics", "/ws", "/socket.io"];

/// Counts the requests that have come and are not answered.
pub(crate) struct InFlight {
    now: Arc<AtomicUsize>,
    most: usize,
}

/// Whether a request is counted.
struct Counted(bool);

impl InFlight {
    pub(crate) fn new(most: usize, metrics: &Exporter) -> Self {
        let now = Arc::<AtomicUsize>::default();
        let seen = Arc::clone(&now);
        metrics.look(move || {
            metrics::gauge!("http_requests_in_flight").set(seen.load(Ordering::Relaxed) as f64);
            metrics::gauge!("http_requests_in_flight_limit").set(most as f64);
        });
        Self { now, most }
    }
}

#[rocket::async_trait]
impl Fairing for InFlight {
    fn info(&self) -> Info {
        Info { name: "Requests in flight", kind: Kind::Request | Kind::Response }
    }

    async fn on_request(&self, request: &mut Request<'_>, _: &mut Data<'_>) {
        let path = request.uri().path();
        if LET_THROUGH.iter().any(|open| path.starts_with(open)) {
            return;
        }
        request.local_cache(|| Counted(true));
        if self.now.fetch_add(1, Ordering::Relaxed) >= self.most {
            catchers::turn_away(request, ApiError::Overloaded);
        }
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, _: &mut Response<'r>) {
        if request.local_cache(|| Counted(false)).0 {
            self.now.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
