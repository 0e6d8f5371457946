//! What follows from an outcome: the decision of the settlement, without a database.

use std::time::Duration;

use super::Outcome;
use crate::chaos::{self, Bug};
use crate::jobs::retry::Backoff;

/// The limits of trying.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The delays between tries.
    pub backoff: Backoff,
    /// Answers of the gateway until an order has failed.
    pub max_attempts: i32,
}

/// How often a payment was tried before this outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// Answers of the gateway.
    pub attempts: i32,
    /// Times the job was put back on the schedule.
    pub retries: i32,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Paid: the order is completed.
    Complete {
        /// What the gateway calls the charge.
        reference: String,
    },
    /// Not paid and never will be: the order has failed and its stock goes back.
    Fail,
    /// Try again later.
    Retry {
        /// After how long.
        delay: Duration,
        /// The gateway conclusively refused, so the next try is a new charge with
        /// a new key. Otherwise the same key is used again.
        new_charge: bool,
    },
}

/// Decides what follows from an outcome. `jitter` is a random number from 0 to 1.
///
/// A payment fails only on a conclusive outcome: a decline, or the gateway's
/// promise that the key is void. Attempts that are spent without one (the last
/// failure was transient) lead to another claim, which voids instead of charging.
pub fn decide(outcome: &Outcome, history: History, policy: Policy, jitter: f64) -> Next {
    let spent = history.attempts + i32::from(spends_attempt(outcome)) >= policy.max_attempts;
    let later = |new_charge| Next::Retry { delay: policy.backoff.delay(history.retries, jitter), new_charge };
    match outcome {
        Outcome::Approved { reference } => Next::Complete { reference: reference.clone() },
        Outcome::Voided { .. } => Next::Fail,
        Outcome::Declined { retryable: true, .. } if !spent => later(true),
        Outcome::Declined { .. } => Next::Fail,
        Outcome::Unknown { .. } if chaos::planted(Bug::NewKeyAfterUnknown) => later(true),
        Outcome::Transient { .. } | Outcome::Unknown { .. } => later(false),
    }
}

/// Only answers of the gateway spend attempts: a crash, a timeout or a gateway that is away cost none.
pub fn spends_attempt(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Approved { .. } | Outcome::Declined { .. } | Outcome::Transient { .. } => true,
        Outcome::Unknown { .. } | Outcome::Voided { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy =
        Policy { backoff: Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(300) }, max_attempts: 5 };

    fn after(attempts: i32) -> History {
        History { attempts, retries: attempts }
    }

    fn declined(retryable: bool) -> Outcome {
        Outcome::Declined { code: "card_declined".to_owned(), retryable }
    }

    fn transient() -> Outcome {
        Outcome::Transient { code: "try_later".to_owned() }
    }

    #[test]
    fn a_decline_for_good_fails_at_once() {
        assert_eq!(decide(&declined(false), after(0), POLICY, 0.5), Next::Fail);
    }

    #[test]
    fn a_decline_that_may_be_retried_is_charged_anew_until_attempts_are_spent() {
        assert!(matches!(decide(&declined(true), after(3), POLICY, 0.5), Next::Retry { new_charge: true, .. }));
        assert_eq!(decide(&declined(true), after(4), POLICY, 0.5), Next::Fail);
    }

    #[test]
    fn a_transient_failure_keeps_its_key_and_never_fails_an_order_by_itself() {
        for attempts in 0..10 {
            assert!(matches!(
                decide(&transient(), after(attempts), POLICY, 0.5),
                Next::Retry { new_charge: false, .. }
            ));
        }
    }

    #[test]
    fn an_unknown_outcome_spends_no_attempt() {
        assert!(!spends_attempt(&Outcome::Unknown { code: "timeout".to_owned() }));
        assert!(spends_attempt(&transient()));
    }

    proptest! {
        #[test]
        fn stock_goes_back_only_after_a_conclusive_refusal(
            attempts in 0..100, retries in 0..1000, jitter in 0.0..1.0, which in 0..5usize, retryable: bool,
        ) {
            let outcome = match which {
                0 => Outcome::Approved { reference: "ch_1".to_owned() },
                1 => declined(retryable),
                2 => transient(),
                3 => Outcome::Unknown { code: "timeout".to_owned() },
                _ => Outcome::Voided { code: "spent".to_owned() },
            };
            let next = decide(&outcome, History { attempts, retries }, POLICY, jitter);
            let conclusive = matches!(outcome, Outcome::Declined { .. } | Outcome::Voided { .. });
            prop_assert!(next != Next::Fail || conclusive);
            prop_assert_eq!(matches!(next, Next::Complete { .. }), matches!(outcome, Outcome::Approved { .. }));
        }
    }
}
