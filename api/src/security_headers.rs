//! Headers that every answer has: what browsers and caches must not make of it.
//!
//! All of them are policies of Rocket's Shield, which leaves a header alone that an answer has already: a handler that
//! serves a page sets its own. `Strict-Transport-Security` is not among them: the api speaks plain HTTP behind a proxy,
//! and only who ends TLS knows whether every name of the domain can do without HTTP.

use rocket::http::Header;
use rocket::shield::{Frame, NoSniff, Policy, Referrer, Shield};

use crate::origin::Origins;

/// The policies of the api.
pub(crate) fn shield(origins: &Origins) -> Shield {
    Shield::new()
        .enable(NoSniff::Enable)
        .enable(Frame::Deny)
        .enable(Referrer::NoReferrer)
        .enable(ContentSecurityPolicy)
        .enable(NoStore)
        .enable(if origins.any() { ResourcePolicy::CrossOrigin } else { ResourcePolicy::SameOrigin })
}

/// An answer is data and no page: a browser that shows it as one loads nothing for it, and in no frame.
#[derive(Default)]
struct ContentSecurityPolicy;

impl Policy for ContentSecurityPolicy {
    const NAME: &'static str = "Content-Security-Policy";

    fn header(&self) -> Header<'static> {
        Header::new(Self::NAME, "default-src 'none'; frame-ancestors 'none'")
    }
}

/// Who may use an answer without CORS, as an image or a script. Pages of `live.origins` ask with CORS, which this is
/// not about; where every origin may, this says the same.
#[derive(Default)]
enum ResourcePolicy {
    #[default]
    SameOrigin,
    CrossOrigin,
}

impl Policy for ResourcePolicy {
    const NAME: &'static str = "Cross-Origin-Resource-Policy";

    fn header(&self) -> Header<'static> {
        Header::new(
            Self::NAME,
            match self {
                Self::SameOrigin => "same-origin",
                Self::CrossOrigin => "cross-origin",
            },
        )
    }
}

/// What does not say that it may be kept, is not: tokens, tickets, errors, answers to what writes.
#[derive(Default)]
struct NoStore;

impl Policy for NoStore {
    const NAME: &'static str = "Cache-Control";

    fn header(&self) -> Header<'static> {
        Header::new(Self::NAME, "no-store")
    }
}
