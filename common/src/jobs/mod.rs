//! Jobs: work that must be done later, at least once, whatever dies meanwhile.
//!
//! The table `jobs` is the truth ([`ledger`]); Redis holds the schedule and the
//! leases ([`queue`]). What Redis forgets, [`reconcile`] puts back. What operators see of
//! them is in [`list`], [`history`] and [`stats`]; what they do about them in [`act`], [`pause`], [`prune`] and [`compare`];
//! how much waits, for Prometheus, in [`backlog`].

pub mod act;
pub mod backlog;
pub mod compare;
pub mod dead;
pub mod filter;
pub mod history;
pub mod lateness;
pub mod ledger;
pub mod list;
pub mod pause;
pub mod prune;
pub mod queue;
pub mod reconcile;
pub mod retry;
pub mod stats;
pub mod workers;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{BootId, PaymentId};

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum JobState {
    /// Waits for its time.
    Scheduled,
    /// A worker has it.
    Running,
    /// Done.
    Completed,
    /// Given up, for the reason in `last_error`.
    Dead,
    /// Not needed any more.
    Cancelled,
}

impl JobState {
    /// As the database says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Proof of a claim: which life of which worker, and its how-manieth claim. Every
/// write on behalf of a job is guarded by it, so a worker that was thought dead
/// and comes back can change nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, sqlx::Type, utoipa::ToSchema)]
#[sqlx(transparent)]
pub struct Token(String);

impl Token {
    /// The token of a worker's claim.
    pub fn new(boot: BootId, number: u64) -> Self {
        Self(format!("{boot}-{number}"))
    }

    /// The token's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the job that charges a payment needs to know.
///
/// Stored as JSON beside `KIND` and `VERSION`; a change that old workers cannot
/// read gets a new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChargePayment {
    /// Which payment.
    pub payment_id: PaymentId,
}

/// What the job that gives a captured payment back needs to know. Stored as [`ChargePayment`] is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefundPayment {
    /// Which payment.
    pub payment_id: PaymentId,
}

/// What a job does with the payment of its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Task {
    /// [`ChargePayment`].
    Charge,
    /// [`RefundPayment`].
    Refund,
}

/// The kind of a job as metrics have it: `other` for one that this program does not know.
pub fn known_kind(kind: &str) -> &'static str {
    match kind {
        ChargePayment::KIND => ChargePayment::KIND,
        RefundPayment::KIND => RefundPayment::KIND,
        _ => "other",
    }
}

impl Task {
    /// What a job of this kind and version does. Nothing if this program does not know it.
    pub fn of(kind: &str, version: i16) -> Option<Self> {
        match (kind, version) {
            (ChargePayment::KIND, ChargePayment::VERSION) => Some(Self::Charge),
            (RefundPayment::KIND, RefundPayment::VERSION) => Some(Self::Refund),
            _ => None,
        }
    }

    /// The kind of a job that does this.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Charge => ChargePayment::KIND,
            Self::Refund => RefundPayment::KIND,
        }
    }
}

/// Why a job's payload cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Not a kind that this program knows.
    #[error("unknown kind of job {kind:?}, version {version}")]
    UnknownKind {
        /// The kind.
        kind: String,
        /// Its version.
        version: i16,
    },
    /// Not what the kind says it is.
    #[error("the payload cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// Reads the payload of a job that must do that.
fn read<T: DeserializeOwned>(task: Task, kind: &str, version: i16, payload: &Value) -> Result<T, PayloadError> {
    if Task::of(kind, version) != Some(task) {
        return Err(PayloadError::UnknownKind { kind: kind.to_owned(), version });
    }
    Ok(T::deserialize(payload)?)
}

impl ChargePayment {
    /// The kind of the job.
    pub const KIND: &'static str = "charge_payment";
    /// The version of the payload.
    pub const VERSION: i16 = 1;

    /// As it is stored.
    pub fn payload(&self) -> Value {
        serde_json::json!({ "paymentId": self.payment_id })
    }

    /// Reads what is stored.
    ///
    /// # Errors
    /// When the kind, the version or the payload is another one.
    pub fn parse(kind: &str, version: i16, payload: &Value) -> Result<Self, PayloadError> {
        read(Task::Charge, kind, version, payload)
    }
}

impl RefundPayment {
    /// The kind of the job.
    pub const KIND: &'static str = "refund_payment";
    /// The version of the payload.
    pub const VERSION: i16 = 1;

    /// As it is stored.
    pub fn payload(&self) -> Value {
        serde_json::json!({ "paymentId": self.payment_id })
    }

    /// Reads what is stored.
    ///
    /// # Errors
    /// When the kind, the version or the payload is another one.
    pub fn parse(kind: &str, version: i16, payload: &Value) -> Result<Self, PayloadError> {
        read(Task::Refund, kind, version, payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_reads_back_as_it_was_written_and_nothing_else_is_read() {
        let job = ChargePayment { payment_id: PaymentId::new() };

        assert_eq!(ChargePayment::parse(ChargePayment::KIND, 1, &job.payload()).unwrap(), job);
        let refund = RefundPayment { payment_id: job.payment_id };
        assert_eq!(RefundPayment::parse(RefundPayment::KIND, 1, &refund.payload()).unwrap(), refund);
        assert!(ChargePayment::parse(RefundPayment::KIND, 1, &refund.payload()).is_err());
        assert!(RefundPayment::parse(ChargePayment::KIND, 1, &job.payload()).is_err());
        assert!(matches!(ChargePayment::parse("other", 1, &job.payload()), Err(PayloadError::UnknownKind { .. })));
        assert!(matches!(
            ChargePayment::parse(ChargePayment::KIND, 1, &serde_json::json!({"paymentId": 7})),
            Err(PayloadError::Unreadable(_))
        ));
    }

    #[test]
    fn a_kind_or_version_that_is_not_known_is_no_task() {
        assert_eq!(Task::of("charge_payment", 1), Some(Task::Charge));
        assert_eq!(Task::of("refund_payment", 1), Some(Task::Refund));
        for (kind, version) in [("charge_payment", 2), ("refund_payment", 0), ("other", 1)] {
            assert_eq!(Task::of(kind, version), None);
        }
    }
}
