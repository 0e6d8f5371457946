//! The trace of a request: taken in by `traceparent` or begun here, and given out by `traceparent`.
//!
//! W3C Trace Context has no header for answers yet (`traceresponse` is a draft), so the answer has the one of requests: it
//! names the trace, and the span that the server did the request in.

use std::sync::{Mutex, PoisonError};

use rocket::fairing::{Fairing, Info, Kind};
use rocket::http::Header;
use rocket::{Data, Request, Response};
use shop_common::trace::{self, Attributes, Span, TraceContext};

use crate::about::About;
use crate::requests::RequestId;

/// The name of the header, in and out.
const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// The trace of a request, and the span that it is answered in.
pub(crate) struct Trace {
    context: TraceContext,
    span: Mutex<Option<Span>>,
}

impl Trace {
    pub(crate) fn of<'r>(request: &'r Request<'_>) -> &'r Self {
        request.local_cache(|| {
            let headers = request.headers();
            let cause = TraceContext::read(headers.get(PARENT), headers.get(STATE));
            let span = Span::begin(trace::Kind::Server, request.method().as_str(), cause.as_ref());
            Self { context: span.context().clone(), span: Mutex::new(Some(span)) }
        })
    }

    /// What belongs to the request goes on with this.
    pub(crate) fn context(&self) -> &TraceContext {
        &self.context
    }
}

/// Begins the span of each request and ends it.
pub(crate) struct Traces;

#[rocket::async_trait]
impl Fairing for Traces {
    fn info(&self) -> Info {
        Info { name: "Traces", kind: Kind::Request | Kind::Response }
    }

    async fn on_request(&self, request: &mut Request<'_>, _: &mut Data<'_>) {
        Trace::of(request);
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        let trace = Trace::of(request);
        response.set_header(Header::new(PARENT, trace.context.parent.to_string()));
        let span = trace.span.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(span) = span {
            let status = response.status().code;
            span.end(|span| tell(span, request, status));
        }
    }
}

/// The attributes are those of OpenTelemetry's conventions for HTTP servers. What is after the question mark is left out,
/// and so is the path where nothing is: people put secrets there.
fn tell(span: &mut dyn Attributes, request: &Request<'_>, status: u16) {
    let method = request.method().as_str();
    span.text("http.request.method", method);
    span.number("http.response.status_code", i64::from(status));
    span.text("url.scheme", "http");
    if let Some(route) = request.route() {
        span.name(format!("{method} {}", route.uri.path()));
        span.text("http.route", route.uri.path());
        span.text("url.path", request.uri().path().as_str());
    }
    if status >= 500 {
        span.failed(&status.to_string());
    }
    let said = About::of(request).said();
    span.text("shop.request.id", RequestId::of(request).as_str());
    span.text("shop.outcome", said.outcome());
    if let Some(user) = said.user {
        span.text("enduser.id", &user.to_string());
    }
    if let Some(order) = said.order {
        span.text("shop.order.id", &order.to_string());
    }
    if let Some(job) = said.job {
        span.text("job.id", &job.to_string());
    }
}
