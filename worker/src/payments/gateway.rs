//! What a payment gateway must be able to do.
//!
//! Everything goes by key. A gateway answers the same key with the same charge,
//! however often and by however many workers it is asked: that is what "at most
//! one charge per payment" stands on.

use async_trait::async_trait;
use shop_common::id::PaymentId;
use shop_common::money::{Currency, Money};
use shop_common::payments::{ChargeKey, PaymentMethod, audit};

/// What is to be charged.
#[derive(Debug, Clone)]
pub struct Charge {
    /// The idempotency key.
    pub key: ChargeKey,
    /// For which payment; only for the gateway's books.
    pub payment: PaymentId,
    /// How much.
    pub amount: Money,
    /// In which currency.
    pub currency: Currency,
    /// How.
    pub method: PaymentMethod,
}

/// What a charge came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeOutcome {
    /// The money is captured.
    Approved {
        /// What the gateway calls the charge.
        reference: String,
    },
    /// The gateway refused; no money moves under this key any more.
    Declined {
        /// Its word for why.
        code: String,
        /// Whether a new charge, under a new key, may go better.
        retryable: bool,
    },
    /// The gateway answered that it failed. The same key may be charged again.
    Transient {
        /// Its word for why.
        code: String,
    },
    /// No answer, or none that says anything. Money may have moved.
    Unknown {
        /// What was seen.
        code: String,
    },
}

/// What a gateway knows of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The charge came to this.
    Found(ChargeOutcome),
    /// It has no charge that came to an end.
    NotFound,
    /// No answer.
    Unknown,
}

/// What a void came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VoidOutcome {
    /// The key is dead: nothing is captured under it (what was, went back), and nothing ever will be.
    Voided,
    /// Too late: the money is captured.
    AlreadyCaptured {
        /// What the gateway calls the charge.
        reference: String,
    },
    /// No answer.
    Unknown,
}

/// What a refund came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundOutcome {
    /// The money goes back (now, or it went back before).
    Refunded,
    /// There is no captured charge under this key.
    NothingCaptured,
    /// No answer.
    Unknown,
}

/// A charge that the gateway has captured, as its ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedCharge {
    /// The idempotency key, which may be somebody else's.
    pub key: ChargeKey,
    /// For which payment, as the gateway was told.
    pub payment: String,
    /// How much.
    pub amount: Money,
    /// What the gateway calls it.
    pub reference: String,
    /// Whether the money went back.
    pub refunded: bool,
}

/// The gateway does not answer, or nothing that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", audit::GATEWAY_AWAY)]
pub struct Unreachable;

/// The code with which a gateway declines the key of a charge that was given back.
pub const REFUNDED: &str = "refunded";

/// A payment gateway.
#[async_trait]
pub trait PaymentGateway: Send + Sync + 'static {
    /// Charges. The same key again gives the same charge; one that was given back is declined for good, as [`REFUNDED`].
    async fn charge(&self, charge: &Charge) -> ChargeOutcome;

    /// What became of a key.
    async fn lookup(&self, key: &ChargeKey) -> Lookup;

    /// Makes sure that a key is never charged, also by a charge that is still on its way.
    async fn void(&self, key: &ChargeKey) -> VoidOutcome;

    /// Gives the whole of a captured charge back. The same key again gives nothing more.
    async fn refund(&self, key: &ChargeKey) -> RefundOutcome;

    /// Charges that were captured, in the order of their keys, after that one: a page of at most
    /// so many. An empty page is the end.
    ///
    /// # Errors
    /// When the gateway does not answer.
    async fn captured(&self, after: Option<&ChargeKey>, limit: u32) -> Result<Vec<CapturedCharge>, Unreachable>;
}
