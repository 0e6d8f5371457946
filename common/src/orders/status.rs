//! The states of an order and the moves between them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[sqlx(type_name = "text", rename_all = "UPPERCASE")]
pub enum OrderStatus {
    /// Accepted: its stock is reserved and its payment is on the way.
    Pending,
    /// A worker has taken up its payment.
    Processing,
    /// Paid.
    Completed,
    /// Not paid; its stock is back.
    Failed,
    /// Given up before it was paid; its stock is back.
    Cancelled,
    /// Paid and paid back.
    Refunded,
}

impl OrderStatus {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Processing, Self::Completed, Self::Failed, Self::Cancelled, Self::Refunded];

    /// Whether an order may move from here to there.
    pub fn can_become(self, next: Self) -> bool {
        use OrderStatus::{Cancelled, Completed, Failed, Pending, Processing, Refunded};
        matches!(
            (self, next),
            (Pending, Processing | Cancelled) | (Processing, Completed | Failed | Cancelled) | (Completed, Refunded)
        )
    }

    /// Whether its payment is still to end.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Processing)
    }

    /// As the wire and the database say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Processing => "PROCESSING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Refunded => "REFUNDED",
        }
    }
}

/// A text that is no status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a status is one of PENDING, PROCESSING, COMPLETED, FAILED, CANCELLED, REFUNDED")]
pub struct UnknownStatus;

impl FromStr for OrderStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(UnknownStatus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_moves_along_these_and_no_other_ways() {
        let moves: Vec<_> = OrderStatus::ALL
            .iter()
            .flat_map(|from| OrderStatus::ALL.iter().map(move |to| (*from, *to)))
            .filter(|(from, to)| from.can_become(*to))
            .map(|(from, to)| format!("{} -> {}", from.as_str(), to.as_str()))
            .collect();

        assert_eq!(
            moves,
            [
                "PENDING -> PROCESSING",
                "PENDING -> CANCELLED",
                "PROCESSING -> COMPLETED",
                "PROCESSING -> FAILED",
                "PROCESSING -> CANCELLED",
                "COMPLETED -> REFUNDED",
            ]
        );
    }

    #[test]
    fn an_open_order_can_still_end_and_a_closed_one_is_never_opened_again() {
        for from in OrderStatus::ALL {
            for to in OrderStatus::ALL.into_iter().filter(|to| from.can_become(*to)) {
                assert!(from.is_open() || !to.is_open());
            }
        }
    }

    #[test]
    fn every_state_can_be_reached_and_from_every_open_one_an_end() {
        let from = |start: OrderStatus| {
            let (mut reached, mut open) = (vec![start], vec![start]);
            while let Some(state) = open.pop() {
                for next in OrderStatus::ALL.into_iter().filter(|next| state.can_become(*next)) {
                    if !reached.contains(&next) {
                        reached.push(next);
                        open.push(next);
                    }
                }
            }
            reached
        };

        assert_eq!(from(OrderStatus::Pending).len(), OrderStatus::ALL.len());
        for state in OrderStatus::ALL {
            assert!(from(state).iter().any(|end| !end.is_open()));
            // No way leads back, so an order moves five times at most.
            assert!(from(state).iter().filter(|next| **next != state).all(|next| !from(*next).contains(&state)));
        }
    }
}
