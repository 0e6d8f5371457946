//! The trace of the attempt that a task is at, for whoever is asked for a part of it: the gateway, the settlement.

use shop_common::trace::TraceContext;

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// Does work as a part of a span.
pub(crate) async fn within<F: Future>(span: TraceContext, work: F) -> F::Output {
    CURRENT.scope(span, work).await
}

/// The span that this task works in; none where it is at no attempt.
pub(crate) fn current() -> Option<TraceContext> {
    CURRENT.try_with(Clone::clone).ok()
}
