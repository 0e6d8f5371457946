//! The words of placement: what a customer asks for, and what it comes to.

use super::idempotency::{Answer, Fingerprint, IdempotencyKey};
use super::{Lines, Order};
use crate::id::{JobId, OrderId, PaymentId, ProductId, UserId};
use crate::payments::PaymentMethod;
use crate::trace::TraceContext;

/// An order that a customer asks for.
#[derive(Debug, Clone)]
pub struct NewOrder {
    /// Who asks.
    pub customer: UserId,
    /// For what.
    pub lines: Lines,
    /// Paid how.
    pub payment_method: PaymentMethod,
    /// The client's name for this request.
    pub key: Option<IdempotencyKey>,
    /// The id of the HTTP request, which follows the order into the worker's log.
    pub request_id: Option<String>,
    /// The trace of that request, which the job goes on with.
    pub trace: Option<TraceContext>,
}

impl NewOrder {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.lines, &self.payment_method)
    }
}

/// Why an order is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such product (any more).
    UnknownProduct(ProductId),
    /// There is less of it than was asked for.
    InsufficientStock {
        /// The product.
        product: ProductId,
        /// What was asked for.
        requested: i64,
        /// What there is.
        available: i64,
    },
    /// The total is more than money can be.
    TotalTooLarge,
}

impl Refusal {
    /// Its name, as metrics have it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::UnknownProduct(_) => "unknown_product",
            Self::InsufficientStock { .. } => "insufficient_stock",
            Self::TotalTooLarge => "total_too_large",
        }
    }
}

/// What became of an order that was asked for.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Accepted.
    Placed(Order),
    /// Not accepted.
    Refused(Refusal),
}

/// An answer, and whether it was given before.
#[derive(Debug, Clone)]
pub struct Placed {
    /// What to answer.
    pub answer: Answer,
    /// What was made for an order that was accepted just now. Of an earlier one only the answer is known.
    pub made: Option<Made>,
    /// Whether the key had it already.
    pub replayed: bool,
}

/// What is made for an order that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// The order.
    pub order: OrderId,
    /// Its payment.
    pub payment: PaymentId,
    /// The job that charges it.
    pub job: JobId,
}

/// Turns a decision into an answer.
pub type Render = fn(&Decision) -> Answer;

/// What became of an order in its group.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    Answered(Placed),
    KeyReused,
    KeyInFlight,
}
