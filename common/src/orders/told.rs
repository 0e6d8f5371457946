//! What a customer is told of the moves of an order and its payment, as events.

use super::status::OrderStatus;
use crate::events::{EventKind, NewEvent};
use crate::id::{OrderId, PaymentId, UserId};
use crate::money::{Currency, Money};
use crate::payments::{PaymentMethod, PaymentStatus};
use crate::time::{self, Timestamp};

/// An order has moved to a status.
pub(super) fn order_is(status: OrderStatus, order_id: OrderId, user_id: UserId) -> NewEvent {
    NewEvent { user_id, order_id, kind: EventKind::OrderStatus, data: serde_json::json!({ "status": status }) }
}

/// What is said of a payment that was attempted, or has moved.
pub(super) struct PaymentTold<'a> {
    pub(super) user_id: UserId,
    pub(super) order_id: OrderId,
    pub(super) payment_id: PaymentId,
    pub(super) amount: Money,
    pub(super) currency: &'a Currency,
    pub(super) method: &'a PaymentMethod,
    pub(super) status: PaymentStatus,
    /// Answers of the gateway so far.
    pub(super) attempts: i32,
    pub(super) next_attempt_at: Option<Timestamp>,
    pub(super) error: Option<&'a str>,
}

impl PaymentTold<'_> {
    pub(super) fn event(self) -> NewEvent {
        NewEvent {
            user_id: self.user_id,
            order_id: self.order_id,
            kind: EventKind::PaymentStatus,
            data: serde_json::json!({
                "orderId": self.order_id,
                "paymentId": self.payment_id,
                "amount": self.amount,
                "currency": self.currency,
                "paymentMethod": self.method,
                "status": self.status,
                "attempt": self.attempts,
                "nextAttemptAt": self.next_attempt_at.map(|at| time::text(&at)),
                "error": self.error,
                "createdBy": self.user_id,
            }),
        }
    }
}
