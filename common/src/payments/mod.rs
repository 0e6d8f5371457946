//! Payments: how an order is paid, and what a gateway can say about it.
//!
//! The gateways themselves live in the worker; here are only the words.

pub mod audit;
pub mod next;
pub mod record;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::PaymentId;

/// How an order is paid: a token that the gateway understands, for example `pm_sim_success`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(try_from = "String")]
#[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$", example = "pm_sim_success")]
#[sqlx(transparent)]
pub struct PaymentMethod(String);

impl PaymentMethod {
    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an order is paid with when it does not say.
impl Default for PaymentMethod {
    fn default() -> Self {
        Self("test".to_owned())
    }
}

impl TryFrom<String> for PaymentMethod {
    type Error = &'static str;

    fn try_from(token: String) -> Result<Self, Self::Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=64).contains(&token.len()) && token.bytes().all(plain) {
            Ok(Self(token))
        } else {
            Err("a payment method must have 1 to 64 letters, digits, '_' or '-', for example pm_sim_success")
        }
    }
}

/// How far a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[sqlx(type_name = "text", rename_all = "UPPERCASE")]
pub enum PaymentStatus {
    /// Not charged yet, or nobody knows yet.
    Pending,
    /// Charged, once.
    Completed,
    /// Not charged, and never will be.
    Failed,
    /// Charged and paid back.
    Refunded,
}

impl PaymentStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Completed, Self::Failed, Self::Refunded];

    /// Whether a payment may move from here to there.
    pub fn can_become(self, next: Self) -> bool {
        use PaymentStatus::{Completed, Failed, Pending, Refunded};
        matches!((self, next), (Pending, Completed | Failed) | (Completed, Refunded))
    }

    /// As the wire and the database say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Refunded => "REFUNDED",
        }
    }
}

/// A text that is no status of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a payment is one of PENDING, COMPLETED, FAILED, REFUNDED")]
pub struct UnknownPaymentStatus;

impl FromStr for PaymentStatus {
    type Err = UnknownPaymentStatus;

    fn from_str(text: &str) -> Result<Self, UnknownPaymentStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(UnknownPaymentStatus)
    }
}

/// The idempotency key of a charge: `payment_id:charge_no`.
///
/// A crash, a transient failure and an unknown outcome all use the same key
/// again, so that a gateway which is idempotent by key cannot charge twice. Only
/// a recorded decline moves the number on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, sqlx::Type, utoipa::ToSchema)]
#[sqlx(transparent)]
pub struct ChargeKey(String);

impl ChargeKey {
    /// The key of that charge.
    pub fn new(payment: PaymentId, charge_no: i32) -> Self {
        Self(format!("{payment}:{charge_no}"))
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The payment that it charges, unless this is no key that a shop has made.
    pub fn payment(&self) -> Option<PaymentId> {
        self.parse().map(|(payment, _)| payment)
    }

    /// The number of the charge, unless this is no key that a shop has made.
    pub fn charge_no(&self) -> Option<i32> {
        self.parse().map(|(_, charge_no)| charge_no)
    }

    /// Another spelling of a key is another key, and not one of the shop's.
    fn parse(&self) -> Option<(PaymentId, i32)> {
        let (payment, charge_no) = self.0.split_once(':')?;
        let (payment, charge_no) = (payment.parse().ok()?, charge_no.parse().ok()?);
        (Self::new(payment, charge_no) == *self).then_some((payment, charge_no))
    }
}

/// A key as the books of a gateway have it, which may be anybody's.
impl From<String> for ChargeKey {
    fn from(key: String) -> Self {
        Self(key)
    }
}

/// What came of one claim of a payment's job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The money is captured.
    Approved {
        /// What the gateway calls the charge.
        reference: String,
    },
    /// The gateway refused, for good or for now.
    Declined {
        /// The gateway's word for why.
        code: String,
        /// Whether another try may go better.
        retryable: bool,
    },
    /// The gateway answered that it failed; whether money moved is not said.
    Transient {
        /// The gateway's word for why.
        code: String,
    },
    /// No answer that says anything: a timeout, a broken connection, nobody there.
    /// Money may have moved.
    Unknown {
        /// What was seen.
        code: String,
    },
    /// The gateway has promised that the key will never be charged.
    Voided {
        /// Why it was given up.
        code: String,
    },
}

impl Outcome {
    /// Its name, as it is recorded.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Approved { .. } => "approved",
            Self::Declined { .. } => "declined",
            Self::Transient { .. } => "transient",
            Self::Unknown { .. } => "unknown",
            Self::Voided { .. } => "voided",
        }
    }

    /// Why, in the gateway's word; nothing for an approval.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Approved { .. } => None,
            Self::Declined { code, .. } | Self::Transient { code } | Self::Unknown { code } | Self::Voided { code } => {
                Some(code)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_ends_once() {
        use PaymentStatus::{Completed, Failed, Pending, Refunded};
        assert!(Pending.can_become(Completed) && Pending.can_become(Failed) && Completed.can_become(Refunded));
        for ended in [Completed, Failed, Refunded] {
            assert!(!ended.can_become(Pending) && !ended.can_become(Failed) && !ended.can_become(ended));
        }
    }

    #[test]
    fn a_key_says_whose_it_is_if_a_shop_has_made_it() {
        let payment = PaymentId::new();
        let key = ChargeKey::new(payment, 12);
        assert_eq!((key.payment(), key.charge_no()), (Some(payment), Some(12)));
        let upper = format!("{}:1", payment.to_string().to_uppercase());
        for foreign in ["x:y", &format!("{payment}:+1"), &format!("{payment}:01"), &format!("{{{payment}}}:1"), &upper]
        {
            let key = ChargeKey::from(foreign.to_owned());
            assert_eq!((key.payment(), key.charge_no()), (None, None), "{foreign}");
        }
    }

    #[test]
    fn a_method_is_a_token() {
        assert!(PaymentMethod::try_from("pm_sim_flaky_2".to_owned()).is_ok());
        for bad in ["", "a b", "é", &"x".repeat(65)] {
            assert!(PaymentMethod::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
