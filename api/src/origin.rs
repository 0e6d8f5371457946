//! Origins: which browser pages from elsewhere may use the api (CORS), and open sockets.
//!
//! Clients that are no browsers send no `Origin`, and are let in by their tokens alone. The
//! check of plain requests is the browser's, which is told by headers; that of sockets is
//! made here, because browsers make none. No cookies are in use, so credentials are never allowed.
//! Written here and not taken from a crate: `rocket_cors` refuses pages of the api's own origin.

use rocket::fairing::{Fairing, Info, Kind};
use rocket::http::Header;
use rocket::{Request, Responder, Response, options};

use crate::error::ApiError;
use crate::methods::Methods;

/// What a page may send, and what it may read. <https://fetch.spec.whatwg.org/#http-cors-protocol>
const METHODS: &str = "GET, POST, PUT, DELETE";
const SENT: &str =
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id, traceparent, tracestate";
const READ: &str =
    "Allow, ETag, Idempotency-Replayed, Link, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id, traceparent";
/// How long a browser may remember it, in seconds.
const REMEMBER: &str = "600";

/// The origins of the settings.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    any: bool,
    allowed: Vec<String>,
}

impl Origins {
    pub(crate) fn new(settings: &[String]) -> Self {
        let allowed = settings.iter().map(|origin| origin.trim_end_matches('/').to_lowercase()).collect();
        Self { any: settings.iter().any(|origin| origin == "*"), allowed }
    }

    /// Whether every page may use the api.
    pub(crate) fn any(&self) -> bool {
        self.any
    }

    /// Whether a page of that origin may use an api that is reached as `host`.
    fn allow(&self, origin: &str, host: Option<&str>) -> bool {
        let own = || origin.split_once("://").is_some_and(|(_, authority)| host == Some(authority));
        self.any || own() || self.allowed.contains(&origin.to_lowercase())
    }

    /// The origin of the request's page, if it is one that may not use the api: `Err`; one that may: `Ok(Some)`.
    pub(crate) fn check<'r>(&self, request: &'r Request<'_>) -> Result<Option<&'r str>, ApiError> {
        let Some(origin) = request.headers().get_one("Origin") else { return Ok(None) };
        let host = request.headers().get_one("Host");
        if self.allow(origin, host) { Ok(Some(origin)) } else { Err(ApiError::OriginNotAllowed) }
    }
}

/// Tells browsers which pages may read an answer.
pub(crate) struct Cors(pub(crate) Origins);

#[rocket::async_trait]
impl Fairing for Cors {
    fn info(&self) -> Info {
        Info { name: "CORS", kind: Kind::Response }
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        // Whether or not there is an origin: what is kept by a cache on the way must not be given to a page without it.
        response.adjoin_header(Header::new("Vary", "Origin"));
        let Ok(Some(origin)) = self.0.check(request) else { return };
        response.set_header(Header::new("Access-Control-Allow-Origin", origin.to_owned()));
        response.set_header(Header::new("Access-Control-Expose-Headers", READ));
        if request.method() == rocket::http::Method::Options {
            response.set_header(Header::new("Access-Control-Allow-Methods", METHODS));
            response.set_header(Header::new("Access-Control-Allow-Headers", SENT));
            response.set_header(Header::new("Access-Control-Max-Age", REMEMBER));
        }
    }
}

/// What can be done at an address.
#[derive(Responder)]
#[response(status = 204)]
pub(crate) struct Options((), Header<'static>);

/// What can be done at an address; and what a browser asks before it sends a request of a page from elsewhere, to which
/// [`Cors`] adds the answer.
#[options("/<_..>")]
pub(crate) fn preflight(methods: Methods) -> Options {
    Options((), methods.allow())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_the_settings_and_of_the_api_itself_are_allowed_and_no_others() {
        let origins = Origins::new(&["https://Shop.example/".to_owned()]);
        let host = Some("api.example:3000");
        for (origin, allowed) in [
            ("https://shop.example", true),
            ("http://api.example:3000", true),
            ("https://api.example", false),
            ("http://shop.example", false),
            ("https://shop.example.evil.example", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(origins.allow(origin, host), allowed, "{origin:?}");
        }
        assert!(Origins::new(&["*".to_owned()]).allow("null", None));
    }
}
