//! Traces: which work belongs together, across processes, as [W3C Trace Context](https://www.w3.org/TR/trace-context/) says it.
//!
//! A piece of work is a [`Span`]: it has an id, belongs to a trace, and may have been caused by another span. What is
//! handed on with an order, from a request to its job and from there to the gateway, is a [`TraceContext`].

mod parent;
mod span;
mod state;

pub use parent::{SpanId, TraceId, TraceParent, TraceParentError};
pub use span::{Attributes, Kind, Span};
pub use state::TraceState;

/// Which trace work belongs to, and which span of it is the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace and the span.
    pub parent: TraceParent,
    /// What others have written beside it.
    pub state: Option<TraceState>,
}

impl TraceContext {
    /// Reads what came with a request: the values of `traceparent` and of `tracestate`, one for each time they are there.
    ///
    /// Without exactly one `traceparent` that is good there is no context, and a new trace begins; a `tracestate` that is
    /// not good is left out.
    pub fn read<'a>(
        parents: impl IntoIterator<Item = &'a str>,
        states: impl IntoIterator<Item = &'a str>,
    ) -> Option<Self> {
        let mut parents = parents.into_iter();
        let (parent, None) = (parents.next()?.parse().ok()?, parents.next()) else { return None };
        Some(Self { parent, state: TraceState::read(states) })
    }
}

/// A context as the row of a job has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Kept {
    /// The trace, and the span of the request that made the job; nothing where an operator or a repair did.
    pub traceparent: Option<String>,
    /// What came beside it.
    pub tracestate: Option<String>,
}

impl Kept {
    /// The context. What cannot be read is none: a job is done all the same.
    pub fn context(&self) -> Option<TraceContext> {
        TraceContext::read(self.traceparent.as_deref(), self.tracestate.as_deref())
    }
}

impl From<Option<&TraceContext>> for Kept {
    fn from(context: Option<&TraceContext>) -> Self {
        Self {
            traceparent: context.map(|context| context.parent.to_string()),
            tracestate: context.and_then(|context| context.state.as_ref()).map(|state| state.as_str().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_needs_one_good_parent_and_no_state() {
        let read = |parents: &[&'static str], states: &[&'static str]| {
            TraceContext::read(parents.iter().copied(), states.iter().copied())
        };
        let state = |context: Option<TraceContext>| context.unwrap().state.map(|state| state.as_str().to_owned());

        assert_eq!(read(&[], &["a=1"]), None);
        assert_eq!(read(&["nonsense"], &["a=1"]), None);
        assert_eq!(read(&[PARENT, PARENT], &[]), None, "nobody knows which of them counts");
        assert_eq!(state(read(&[PARENT], &[])), None);
        assert_eq!(state(read(&[PARENT], &["a=1", "b=2"])).as_deref(), Some("a=1,b=2"));
        assert_eq!(state(read(&[PARENT], &["a=1", "="])), None, "a bad state is left out, and the trace goes on");
    }

    #[test]
    fn a_context_comes_back_from_the_row_of_a_job() {
        for states in [&[][..], &["vendor=opaque"]] {
            let context = TraceContext::read([PARENT], states.iter().copied());
            assert_eq!(Kept::from(context.as_ref()).context(), context);
        }
        assert_eq!(Kept::from(None), Kept::default());
        let strange = Kept { traceparent: Some("strange".to_owned()), tracestate: None };
        assert_eq!(strange.context(), None);
    }
}
