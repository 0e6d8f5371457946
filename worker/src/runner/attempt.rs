//! An attempt at a job: a span of the job's trace, and one line in the log that says what came of it.

use std::time::{Duration, Instant};

use shop_common::id::{JobId, OrderId, PaymentId, UserId};
use shop_common::orders::claim::Claim;
use shop_common::orders::settle::Settled;
use shop_common::trace::{Attributes, Kind, Span, TraceContext};

/// An attempt that has begun.
pub(super) struct Attempt {
    span: Span,
    began: Instant,
    job: JobId,
    kind: String,
    order: OrderId,
    payment: PaymentId,
    customer: UserId,
    request: Option<String>,
    number: i32,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Came {
    /// What the gateway said, or why it was not asked to the end: a word of few.
    pub(super) outcome: &'static str,
    /// Why.
    pub(super) code: Option<String>,
    /// Whether it went wrong, rather than was decided.
    pub(super) wrong: bool,
    /// How long the gateway was asked.
    pub(super) gateway: Option<Duration>,
    /// What it did to the job.
    pub(super) settled: Option<Settled>,
}

impl Came {
    /// Nothing: the job is given back, or comes back by itself.
    pub(super) fn to_nothing(outcome: &'static str) -> Self {
        Self { outcome, code: None, wrong: true, gateway: None, settled: None }
    }
}

impl Attempt {
    /// Begins an attempt at what was claimed, in the trace of the request that made the job.
    pub(super) fn begin(claim: &Claim) -> Self {
        Self {
            span: Span::begin(Kind::Consumer, "attempt", claim.job.trace.context().as_ref()),
            began: Instant::now(),
            job: claim.job.id,
            kind: claim.job.kind.clone(),
            order: claim.job.order_id,
            payment: claim.payment,
            customer: claim.customer,
            request: claim.job.request_id.clone(),
            number: claim.job.claims,
        }
    }

    /// What belongs to it goes on with this.
    pub(super) fn context(&self) -> &TraceContext {
        self.span.context()
    }

    /// What lines in the log have that are written during the attempt.
    pub(super) fn log_span(&self) -> tracing::Span {
        let parent = self.context().parent;
        tracing::info_span!(
            "job",
            job_id = %self.job,
            order_id = %self.order,
            request_id = self.request.as_deref(),
            trace_id = %parent.trace_id,
            span_id = %parent.span_id,
        )
    }

    /// Ends it, and says what came of it.
    pub(super) fn end(self, came: &Came) {
        let parent = self.context().parent;
        let (settled, again) = came.settled.map_or((None, None), named);
        tracing::info!(
            request_id = self.request.as_deref(),
            trace_id = %parent.trace_id,
            span_id = %parent.span_id,
            user_id = %self.customer,
            order_id = %self.order,
            payment_id = %self.payment,
            job_id = %self.job,
            kind = self.kind,
            attempt = self.number,
            outcome = came.outcome,
            code = came.code.as_deref(),
            settled,
            again_in_ms = again.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            gateway_us = came.gateway.map(micros),
            us = micros(self.began.elapsed()),
            "attempt"
        );
        let Self { span, job, kind, order, payment, customer, number, .. } = self;
        span.end(|span| {
            span.name(format!("attempt {kind}"));
            span.text("job.kind", &kind);
            span.text("job.id", &job.to_string());
            span.number("shop.attempt", i64::from(number));
            span.text("shop.order.id", &order.to_string());
            span.text("shop.payment.id", &payment.to_string());
            span.text("enduser.id", &customer.to_string());
            tell(span, came, settled);
        });
    }
}

fn tell(span: &mut dyn Attributes, came: &Came, settled: Option<&'static str>) {
    span.text("shop.outcome", came.outcome);
    if let Some(code) = &came.code {
        span.text("shop.code", code);
    }
    if let Some(settled) = settled {
        span.text("shop.settled", settled);
    }
    if came.wrong {
        span.failed(came.outcome);
    }
}

/// What a settlement did to the job, and when there is another attempt.
fn named(settled: Settled) -> (Option<&'static str>, Option<Duration>) {
    match settled {
        Settled::Ended(status) => (Some(status.as_str()), None),
        Settled::Again(delay) => (Some("again"), Some(delay)),
        Settled::Buried => (Some("buried"), None),
        Settled::Fenced => (Some("fenced"), None),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
