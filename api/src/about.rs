//! What is found out about a request while it is answered, for its line in the log and its span.

use std::sync::{Arc, Mutex, PoisonError};

use rocket::Request;
use rocket::request::{FromRequest, Outcome};
use shop_common::id::{JobId, OrderId, PaymentId, UserId};
use shop_common::orders::decision::Made;
use shop_common::trace::TraceContext;

use crate::requests::RequestId;
use crate::trace::Trace;

/// Where it is said. Guards and handlers say it, each request has one.
#[derive(Debug, Clone, Default)]
pub(crate) struct About(Arc<Mutex<Said>>);

/// What was said.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Said {
    pub(crate) user: Option<UserId>,
    pub(crate) order: Option<OrderId>,
    pub(crate) payment: Option<PaymentId>,
    pub(crate) job: Option<JobId>,
    outcome: Option<&'static str>,
}

impl About {
    pub(crate) fn of<'r>(request: &'r Request<'_>) -> &'r Self {
        request.local_cache(Self::default)
    }

    /// Who asks.
    pub(crate) fn user(&self, user: UserId) {
        self.say(|said| said.user = Some(user));
    }

    /// Which order is asked for.
    pub(crate) fn order(&self, order: OrderId) {
        self.say(|said| said.order = Some(order));
    }

    /// Which job was made for it.
    pub(crate) fn job(&self, job: JobId) {
        self.say(|said| said.job = Some(job));
    }

    /// Which order was made.
    pub(crate) fn made(&self, made: Made) {
        let Made { order, payment, job } = made;
        self.say(|said| (said.order, said.payment, said.job) = (Some(order), Some(payment), Some(job)));
    }

    /// How it ended, in a word of few.
    pub(crate) fn outcome(&self, outcome: &'static str) {
        self.say(|said| said.outcome = Some(outcome));
    }

    /// All of it.
    pub(crate) fn said(&self) -> Said {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, say: impl FnOnce(&mut Said)) {
        say(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Said {
    /// How it ended.
    pub(crate) fn outcome(&self) -> &'static str {
        self.outcome.unwrap_or("ok")
    }
}

/// What a handler hands on of its request, and where it says what it has found out.
pub(crate) struct Asked {
    pub(crate) request_id: String,
    pub(crate) trace: TraceContext,
    pub(crate) about: About,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Asked {
    type Error = std::convert::Infallible;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Self::Error> {
        Outcome::Success(Self {
            request_id: RequestId::of(request).as_str().to_owned(),
            trace: Trace::of(request).context().clone(),
            about: About::of(request).clone(),
        })
    }
}
