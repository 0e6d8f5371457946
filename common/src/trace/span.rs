//! Spans: pieces of work in a trace, from their start to their end.
//!
//! Every span has ids, for logs and for whoever is asked next. With the cargo feature `otel` it goes to a collector as
//! well, when it has ended; without it nothing is kept, and what would be told of it is not even put together.

use super::{SpanId, TraceContext, TraceId, TraceParent};
#[cfg(feature = "otel")]
use crate::telemetry::otel::Exported;

/// What a span is in the eyes of its cause, in OpenTelemetry's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It answers somebody.
    Server,
    /// It asks somebody.
    Client,
    /// It does what somebody has left to be done.
    Consumer,
    /// It is a part of something.
    Internal,
}

/// Takes what is told of a span. Names are those of OpenTelemetry's semantic conventions, or begin with `shop.`.
pub trait Attributes {
    /// What the span is called, if that is known only now.
    fn name(&mut self, name: String);
    /// A text.
    fn text(&mut self, key: &'static str, value: &str);
    /// A number.
    fn number(&mut self, key: &'static str, value: i64);
    /// That it went wrong, and how: a word of few.
    fn failed(&mut self, error: &str);
}

/// A piece of work that has begun. One that is dropped has ended too, and nothing is told of it.
#[derive(Debug)]
pub struct Span {
    context: TraceContext,
    #[cfg(feature = "otel")]
    exported: Option<Exported>,
}

impl Span {
    /// Begins what that context has caused; without one, a new trace.
    pub fn begin(kind: Kind, name: &'static str, cause: Option<&TraceContext>) -> Self {
        Self::linked(kind, name, cause, &[])
    }

    /// Begins what is done for several at once. Done for one, it belongs to its trace; done for more, it is a trace of its
    /// own with links to theirs.
    pub fn of_group(name: &'static str, members: &[&TraceContext]) -> Self {
        match members {
            [only] => Self::begin(Kind::Internal, name, Some(only)),
            members => Self::linked(Kind::Internal, name, None, members),
        }
    }

    #[cfg(feature = "otel")]
    fn linked(kind: Kind, name: &'static str, cause: Option<&TraceContext>, links: &[&TraceContext]) -> Self {
        let exported = Exported::begin(kind, name, cause, links);
        let parent = exported.as_ref().and_then(Exported::parent).unwrap_or_else(|| next(cause));
        Self { context: context(parent, cause), exported }
    }

    #[cfg(not(feature = "otel"))]
    fn linked(_: Kind, _: &'static str, cause: Option<&TraceContext>, _: &[&TraceContext]) -> Self {
        Self { context: context(next(cause), cause) }
    }

    /// What to hand on to those who are asked to do a part of it.
    pub fn context(&self) -> &TraceContext {
        &self.context
    }

    /// Ends it, and tells what there is to tell if anybody listens.
    #[cfg(feature = "otel")]
    pub fn end(self, tell: impl FnOnce(&mut dyn Attributes)) {
        if let Some(exported) = self.exported {
            exported.end(tell);
        }
    }

    /// Ends it. Nobody listens.
    #[cfg(not(feature = "otel"))]
    pub fn end(self, _: impl FnOnce(&mut dyn Attributes)) {}
}

fn context(parent: TraceParent, cause: Option<&TraceContext>) -> TraceContext {
    TraceContext { parent, state: cause.and_then(|cause| cause.state.clone()) }
}

/// The next span of a trace, or the first of a new one. Whether the trace is recorded others have decided; nobody here does.
fn next(cause: Option<&TraceContext>) -> TraceParent {
    let (trace_id, sampled) =
        cause.map_or_else(|| (TraceId::random(), false), |cause| (cause.parent.trace_id, cause.parent.sampled));
    TraceParent { trace_id, span_id: SpanId::random(), sampled }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause() -> TraceContext {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        TraceContext::read([parent], ["vendor=opaque"]).unwrap()
    }

    #[test]
    fn a_span_goes_on_with_the_trace_of_its_cause_under_an_id_of_its_own() {
        let cause = cause();
        let (one, other) =
            (Span::begin(Kind::Server, "one", Some(&cause)), Span::begin(Kind::Server, "other", Some(&cause)));

        for span in [&one, &other] {
            assert_eq!(span.context().parent.trace_id, cause.parent.trace_id);
            assert!(span.context().parent.sampled);
            assert_eq!(span.context().state, cause.state);
            assert_ne!(span.context().parent.span_id, cause.parent.span_id);
        }
        assert_ne!(one.context().parent.span_id, other.context().parent.span_id);
    }

    #[test]
    fn without_a_cause_a_new_trace_begins_that_nobody_records() {
        let (one, other) = (Span::begin(Kind::Server, "one", None), Span::begin(Kind::Server, "other", None));
        assert_ne!(one.context().parent.trace_id, other.context().parent.trace_id);
        assert!(!one.context().parent.sampled);
    }

    #[test]
    fn a_group_of_one_is_a_part_of_its_trace_and_one_of_more_is_a_trace_of_its_own() {
        let (one, other) = (cause(), Span::begin(Kind::Server, "other", None));
        let trace = |members: &[&TraceContext]| Span::of_group("group", members).context().parent.trace_id;

        assert_eq!(trace(&[&one]), one.parent.trace_id);
        let both = trace(&[&one, other.context()]);
        assert!(both != one.parent.trace_id && both != other.context().parent.trace_id);
    }
}
