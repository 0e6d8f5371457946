//! What goes wrong with the gateway's answers, and how often.
//!
//! Lots are drawn from the seed, the key and how often the key was sent, so that a
//! run with the same seed meets the same faults.

use serde::{Deserialize, Serialize};
use shop_worker::payments::simulated;

/// How often which fault happens to a `POST /charges`, from 0 to 1. Together they come to 1 at most.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Faults {
    /// Charges, and never answers.
    pub timeout_after_charge: f64,
    /// Charges, and answers 500.
    pub error_after_charge: f64,
    /// Charges, and answers that it failed.
    pub failed_after_charge: f64,
    /// Does nothing, and never answers.
    pub hang: f64,
    /// Does nothing, and answers that it failed.
    pub refuse: f64,
    /// Answers 502 to everything but `/faults` and `/stats`.
    pub down: bool,
    /// How much longer each charge takes.
    pub latency_ms: u64,
    /// Decides which charges meet which fault.
    pub seed: u64,
}

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Charges, and never answers.
    TimeoutAfterCharge,
    /// Charges, and answers 500.
    ErrorAfterCharge,
    /// Charges, and answers that it failed.
    FailedAfterCharge,
    /// Does nothing, and never answers.
    Hang,
    /// Does nothing, and answers that it failed.
    Refuse,
}

impl Faults {
    fn shares(&self) -> [(Fault, f64); 5] {
        [
            (Fault::TimeoutAfterCharge, self.timeout_after_charge),
            (Fault::ErrorAfterCharge, self.error_after_charge),
            (Fault::FailedAfterCharge, self.failed_after_charge),
            (Fault::Hang, self.hang),
            (Fault::Refuse, self.refuse),
        ]
    }

    /// Whether the shares are probabilities of which at most one happens.
    pub fn are_possible(&self) -> bool {
        let shares = self.shares().map(|(_, share)| share);
        // A little more than 1: shares such as 0.1 do not add up exactly.
        shares.iter().all(|share| (0.0..=1.0).contains(share)) && shares.iter().sum::<f64>() <= 1.0 + 1e-9
    }

    /// What happens to that key when it is sent for the so manieth time.
    pub fn draw(&self, key: &str, call: i32) -> Option<Fault> {
        let mut lot = simulated::draw(self.seed, &format!("{key} {call}"));
        for (fault, share) in self.shares() {
            if lot < share {
                return Some(fault);
            }
            lot -= share;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_as_frequent_as_they_are_to_be_and_the_same_for_the_same_seed() {
        let faults = Faults { hang: 0.2, refuse: 0.3, seed: 7, ..Faults::default() };
        let drawn = || (0..1000).map(|call| faults.draw("key", call)).collect::<Vec<_>>();
        let share = |fault| drawn().into_iter().filter(|drawn| *drawn == fault).count();

        assert_eq!(drawn(), drawn());
        assert!((150..250).contains(&share(Some(Fault::Hang))), "{}", share(Some(Fault::Hang)));
        assert!((250..350).contains(&share(Some(Fault::Refuse))), "{}", share(Some(Fault::Refuse)));
        assert_eq!(share(Some(Fault::ErrorAfterCharge)), 0);
    }

    #[test]
    fn shares_that_come_to_more_than_one_are_impossible() {
        assert!(Faults { hang: 0.9, refuse: 0.1, ..Faults::default() }.are_possible());
        assert!(!Faults { hang: 0.9, refuse: 0.2, ..Faults::default() }.are_possible());
        assert!(!Faults { hang: -0.1, ..Faults::default() }.are_possible());
    }
}
