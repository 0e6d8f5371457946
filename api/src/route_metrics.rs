//! What is counted of each request: by method, route and status.
//!
//! The counters of all routes are made at the start and kept, so that a request costs two look-ups and no string. A route
//! is named by its template as the API's document writes it; what matched none is `unmatched`, whatever its address was.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Histogram};
use rocket::http::Method;
use rocket::{Request, Route};

/// The label of requests that no route was there for.
const UNMATCHED: &str = "unmatched";
/// The label of the route that answers at every address.
const ANY: &str = "any";
/// Statuses that alerts are about: there at zero, so that the first one is seen as a rise.
const FEARED: [u16; 2] = [500, 503];

/// The counters of all routes.
#[derive(Default)]
pub(crate) struct RouteMetrics {
    routes: HashMap<Method, HashMap<String, Measured>>,
    unmatched: RwLock<HashMap<Method, Arc<Measured>>>,
}

/// The counters of one route.
struct Measured {
    method: &'static str,
    route: String,
    duration: Histogram,
    by_status: RwLock<Vec<(u16, Counter)>>,
}

impl RouteMetrics {
    /// The counters of these routes.
    pub(crate) fn new<'r>(routes: impl Iterator<Item = &'r Route>) -> Self {
        let mut metrics = Self::default();
        for route in routes {
            let measured = Measured::new(route.method, template(route.uri.path()));
            metrics.routes.entry(route.method).or_default().insert(route.uri.as_str().to_owned(), measured);
        }
        metrics
    }

    /// Counts a request that was answered.
    pub(crate) fn count(&self, request: &Request<'_>, status: u16, elapsed: Duration) {
        let known = request.route().and_then(|route| self.routes.get(&route.method)?.get(route.uri.as_str()));
        match known {
            Some(measured) => measured.count(status, elapsed),
            None => self.unmatched(request.method()).count(status, elapsed),
        }
    }

    /// There are as many methods as Rocket knows.
    fn unmatched(&self, method: Method) -> Arc<Measured> {
        let known = self.unmatched.read().unwrap_or_else(PoisonError::into_inner).get(&method).cloned();
        known.unwrap_or_else(|| {
            let mut methods = self.unmatched.write().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Measured::new(method, UNMATCHED.to_owned()));
            Arc::clone(methods.entry(method).or_insert_with(new))
        })
    }
}

impl Measured {
    fn new(method: Method, route: String) -> Self {
        let method = method.as_str();
        let duration =
            metrics::histogram!("http_request_duration_seconds", "method" => method, "route" => route.clone());
        let measured = Self { method, route, duration, by_status: RwLock::default() };
        for status in FEARED {
            measured.counter(status).increment(0);
        }
        measured
    }

    fn count(&self, status: u16, elapsed: Duration) {
        self.duration.record(elapsed);
        let counters = self.by_status.read().unwrap_or_else(PoisonError::into_inner);
        match counters.iter().find(|(known, _)| *known == status) {
            Some((_, counter)) => counter.increment(1),
            None => {
                drop(counters);
                self.counter(status).increment(1);
            }
        }
    }

    fn counter(&self, status: u16) -> Counter {
        let (route, text) = (self.route.clone(), status.to_string());
        let counter =
            metrics::counter!("http_requests_total", "method" => self.method, "route" => route, "status" => text);
        self.by_status.write().unwrap_or_else(PoisonError::into_inner).push((status, counter.clone()));
        counter
    }
}

/// Rocket's `/orders/<id>` as the document writes it: `/orders/{id}`.
fn template(path: &str) -> String {
    if path.trim_start_matches('/').starts_with("<_") {
        return ANY.to_owned();
    }
    let part = |part: &str| match part.strip_prefix('<').and_then(|part| part.strip_suffix('>')) {
        // The rest of the path, whatever it is.
        Some(rest) if rest.ends_with("..") => String::new(),
        Some(name) => format!("/{{{name}}}"),
        None => format!("/{part}"),
    };
    let written: String = path.split('/').filter(|segment| !segment.is_empty()).map(part).collect();
    if written.is_empty() { "/".to_owned() } else { written }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_named_as_the_document_names_it() {
        for (route, written) in [
            ("/products", "/products"),
            ("/products/<id>", "/products/{id}"),
            ("/orders/<id>/cancel", "/orders/{id}/cancel"),
            ("/stock/<product_id>/movements", "/stock/{product_id}/movements"),
            ("/socket.io/<..>", "/socket.io"),
            ("/<_..>", ANY),
            ("/", "/"),
        ] {
            assert_eq!(template(route), written, "{route}");
        }
    }
}
