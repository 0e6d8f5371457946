//! Spans on their way to a collector, by the OpenTelemetry protocol over HTTP.
//!
//! Ended spans wait in a queue in memory, from which a thread of their own sends them. Nobody who ends a span waits: when
//! the queue is full, because the collector is slow or away, spans are dropped.
//!
//! Spans are made of what [`Span`](crate::trace::Span) is told, and not of what the `tracing` crate sees: so the ids in
//! logs, in headers and at the collector are the same, and no library's spans get out with what they happen to hold.

use std::env;
use std::num::{NonZeroU64, NonZeroU128};
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::{
    self as api, Link, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceFlags, Tracer, TracerProvider,
};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use uuid::Uuid;

use crate::trace::{Attributes, Kind, SpanId, TraceContext, TraceId, TraceParent};

/// How long the end of a daemon waits for the last spans to be taken.
const FLUSH: Duration = Duration::from_secs(2);
/// What makes spans, once there is somebody to send them to.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum OtelError {
    /// The collector's address, or what else the exporter is told, cannot be read.
    #[error("spans cannot be exported: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// There is no TLS in this build.
    #[error("{0} is an https URL, and this build cannot speak TLS: name a collector that is reached by http")]
    NoTls(&'static str),
    /// Something else exports already.
    #[error("the export of spans is set up already")]
    Twice,
}

/// What sends spans.
#[derive(Debug)]
pub(super) struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Starts to send; nothing if the environment says that nothing is to be sent.
    pub(super) fn start(service: &'static str) -> Result<Option<Self>, OtelError> {
        let says = |name, value: &str| env::var(name).is_ok_and(|said| said.trim().eq_ignore_ascii_case(value));
        if says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        for name in ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"] {
            if env::var(name).is_ok_and(|url| url.trim().to_ascii_lowercase().starts_with("https:")) {
                return Err(OtelError::NoTls(name));
            }
        }
        let exporter = SpanExporter::builder().with_http().build()?;
        // The sampler, the limits and the sizes of queue and batch come from the environment too.
        let provider =
            SdkTracerProvider::builder().with_resource(resource(service)).with_batch_exporter(exporter).build();
        TRACER.set(provider.tracer("shop")).map_err(|_| OtelError::Twice)?;
        Ok(Some(Self(provider)))
    }

    /// Sends what waits, for two seconds at most; after that nothing is sent any more.
    pub(super) async fn flush(self) {
        let flushing = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH));
        if let Ok(Err(error)) = flushing.await {
            tracing::warn!(%error, "the last spans did not get to the collector");
        }
    }
}

/// Who sends the spans: what the environment says, and this program where it says nothing.
fn resource(service: &'static str) -> Resource {
    let given = Resource::builder().build();
    let says = |key| given.get_ref(&Key::from_static_str(key)).map(|value| value.as_str().into_owned());
    let named = env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    // What the kit makes up where nobody has said anything.
    let name = named.or_else(|| says("service.name").filter(|name| !name.starts_with("unknown_service")));
    let mut resource = Resource::builder().with_service_name(name.unwrap_or_else(|| service.to_owned()));
    for (key, value) in
        [("service.version", env!("CARGO_PKG_VERSION").to_owned()), ("service.instance.id", Uuid::now_v7().to_string())]
    {
        if says(key).is_none() {
            resource = resource.with_attribute(KeyValue::new(key, value));
        }
    }
    resource.build()
}

/// A span that is sent when it has ended, unless the sampler has decided against it.
#[derive(Debug)]
pub(crate) struct Exported {
    span: Span,
    told: bool,
}

impl Exported {
    /// Begins a span; none if nothing is sent.
    pub(crate) fn begin(
        kind: Kind,
        name: &'static str,
        cause: Option<&TraceContext>,
        links: &[&TraceContext],
    ) -> Option<Self> {
        let cause = cause.map_or_else(Context::new, |cause| Context::new().with_remote_span_context(remote(cause)));
        let mut builder = SpanBuilder::from_name(name).with_kind(match kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Consumer => SpanKind::Consumer,
            Kind::Internal => SpanKind::Internal,
        });
        if !links.is_empty() {
            builder = builder.with_links(links.iter().map(|link| Link::with_context(remote(link))).collect());
        }
        let span = TRACER.get()?.build_with_context(builder, &cause);
        // After the end of the export there are no ids either.
        api::Span::span_context(&span).is_valid().then_some(Self { span, told: false })
    }

    /// Its ids.
    pub(crate) fn parent(&self) -> Option<TraceParent> {
        let context = api::Span::span_context(&self.span);
        Some(TraceParent {
            trace_id: TraceId(NonZeroU128::new(u128::from_be_bytes(context.trace_id().to_bytes()))?),
            span_id: SpanId(NonZeroU64::new(u64::from_be_bytes(context.span_id().to_bytes()))?),
            sampled: context.is_sampled(),
        })
    }

    /// Ends it; what is told of it is asked for only if it is sent.
    pub(crate) fn end(mut self, tell: impl FnOnce(&mut dyn Attributes)) {
        self.told = true;
        if api::Span::is_recording(&self.span) {
            tell(&mut self);
        }
    }
}

/// Who waited for the work has given up.
impl Drop for Exported {
    fn drop(&mut self) {
        if !self.told {
            self.failed("cancelled");
        }
    }
}

impl Attributes for Exported {
    fn name(&mut self, name: String) {
        api::Span::update_name(&mut self.span, name);
    }

    fn text(&mut self, key: &'static str, value: &str) {
        api::Span::set_attribute(&mut self.span, KeyValue::new(key, value.to_owned()));
    }

    fn number(&mut self, key: &'static str, value: i64) {
        api::Span::set_attribute(&mut self.span, KeyValue::new(key, value));
    }

    fn failed(&mut self, error: &str) {
        self.text("error.type", error);
        api::Span::set_status(&mut self.span, Status::error(error.to_owned()));
    }
}

/// A context as OpenTelemetry's crates have it.
fn remote(context: &TraceContext) -> SpanContext {
    let TraceParent { trace_id, span_id, sampled } = context.parent;
    let state = context.state.as_ref().and_then(|state| state.as_str().parse().ok()).unwrap_or_default();
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    SpanContext::new(trace_id.0.get().into(), span_id.0.get().into(), flags, true, state)
}
