//! The lease protocol as a model, whose every reachable state is visited.
//!
//! What is modelled is what the code does between the instant an order is committed and the end of its job: `claim.lua`,
//! `ledger::take`, the charge, `settle.rs`, `ack` and `release`, `reap.lua`, `reconcile.rs`, the heartbeat and `disown`. What
//! follows from an outcome is not modelled but asked: the table of decisions is made by the shop's own
//! [`decide`](shop_common::payments::next::decide).
//!
//! **What may go wrong** ([`Bounds`]): a worker dies, or stands still for as long as it likes and may come back, between any two
//! steps; Redis is wiped; the answer of PostgreSQL to a claim or a settlement is lost. Without a bound: an enqueue is lost; the
//! gateway declines, fails, or says nothing, while the charge is on its way and is captured at any later time or never;
//! a void is not answered, whether it took place or not; a worker gives a job up for its age or as poison.
//!
//! **What is abstracted away.**
//! - Time. A heartbeat goes stale at any instant once its worker stands still or is dead, and a lease runs out at any instant
//!   once its worker is not both awake and heard. Both are prolonged as long as the worker is well. A scheduled job may be
//!   taken at once, so backoff, the second of grace and jobs that come early are not here.
//! - Batches, groups and wake-ups: each job moves alone. PostgreSQL's transactions and Redis' scripts are one step each.
//! - Tokens: a worker's entry in hand knows whether the row still has its token. Looking at a lease that was not taken and
//!   dropping it is one step.
//! - Counters that only choose a delay, and age and crashes: a worker may void at any claim, which is more than the code does.
//! - A killed worker does not come back under its boot id (in the shop neither); a new one is one of the others.
//! - Redis being away: what it would not hear is what a wipe right after loses.
//! - Cancelling an order.
//!
//! **What the model taught.** A lease is not what brings a job back: it may be reaped, and its job dropped as being in good hands,
//! while the heartbeat of its dead worker is still young. What brings every job back is the reconciler; a pop without a lease
//! is only to be noticed where it does not look at rows that are due.
//!
//! States that differ only in the names of the workers or jobs are one state, and what nobody will look at any more is
//! forgotten ([`state`]). How many states that leaves, for which bounds, is written at the top of `tests/lease_protocol.rs`.

mod effects;
pub mod progress;
pub mod properties;
pub mod state;
pub mod steps;

use std::time::Duration;

use shop_common::jobs::retry::Backoff;
use shop_common::payments::Outcome;
use shop_common::payments::next::{self, History, Next, Policy};

use crate::state::{JOBS, Said};

/// Answers of the gateway until a payment is given up, and so the number of keys that it can have.
pub const MAX_ATTEMPTS: usize = 2;

/// How large the world is, and how often it may go wrong.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Workers, three at most.
    pub workers: usize,
    /// Jobs, two at most.
    pub jobs: usize,
    /// Jobs that a worker has in hand, two at most.
    pub places: usize,
    /// Workers that die.
    pub crashes: u8,
    /// Times that a worker stands still.
    pub pauses: u8,
    /// Times that Redis is emptied.
    pub wipes: u8,
    /// Answers of PostgreSQL that get lost.
    pub lost_answers: u8,
}

/// The rules of the protocol, each of which can be broken to see the model notice.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
pub struct Rules {
    /// A settlement changes a row only under the row's token.
    pub settles_by_token: bool,
    /// A settlement changes a row only while it is running.
    pub settles_running_only: bool,
    /// What is popped from the schedule leaves a lease.
    pub leases: bool,
    /// Rows that are due are put back on the schedule when it has lost them.
    pub reconciles_due: bool,
    /// So are running rows whose worker is silent.
    pub reconciles_orphans: bool,
    /// A worker gives back rows that are its own but not in its hand.
    pub disowns: bool,
    /// A finished row is not taken.
    pub refuses_finished: bool,
    /// A running row is taken over only from a worker that is silent.
    pub asks_heartbeat: bool,
    /// An unknown outcome is charged again with the same key.
    pub keeps_unknown_key: bool,
    /// A payment is given up only when the gateway says that the key is void.
    pub voids: bool,
}

impl Rules {
    /// The rules as the shop keeps them.
    pub const KEPT: Self = Self {
        settles_by_token: true,
        settles_running_only: true,
        leases: true,
        reconciles_due: true,
        reconciles_orphans: true,
        disowns: true,
        refuses_finished: true,
        asks_heartbeat: true,
        keeps_unknown_key: true,
        voids: true,
    };
}

/// What follows from an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Complete,
    Fail,
    Again { new_charge: bool },
}

/// The shop: its rules, in a world of a certain size.
#[derive(Debug, Clone)]
pub struct Shop {
    pub(crate) bounds: Bounds,
    pub(crate) rules: Rules,
    verdicts: [[(Verdict, u8); MAX_ATTEMPTS + 1]; Said::ALL.len()],
}

impl Shop {
    /// A shop of these bounds and rules, which decides as the real one does.
    pub fn new(bounds: Bounds, rules: Rules) -> Self {
        assert!(bounds.workers <= state::WORKERS && bounds.jobs <= JOBS && bounds.places <= state::PLACES);
        let mut verdicts = [[(Verdict::Fail, 0); MAX_ATTEMPTS + 1]; Said::ALL.len()];
        for said in Said::ALL {
            for (attempts, slot) in (0_u8..).zip(&mut verdicts[said as usize]) {
                *slot = decide(said, attempts);
            }
        }
        Self { bounds, rules, verdicts }
    }

    /// What follows from an outcome after so many attempts, and how many there are then.
    pub(crate) fn verdict(&self, said: Said, attempts: u8) -> (Verdict, u8) {
        let (verdict, attempts) = self.verdicts[said as usize][usize::from(attempts).min(MAX_ATTEMPTS)];
        match (said, verdict) {
            (Said::Unknown, Verdict::Again { .. }) if !self.rules.keeps_unknown_key => {
                (Verdict::Again { new_charge: true }, attempts)
            }
            _ => (verdict, attempts),
        }
    }

    /// The first outcome from which the same follows.
    pub(crate) fn alike(&self, said: Said, attempts: u8) -> Said {
        let follows = |said| match self.verdict(said, attempts) {
            (Verdict::Again { new_charge }, attempts) => (Verdict::Again { new_charge }, attempts),
            (end, _) => (end, 0),
        };
        Said::ALL.into_iter().find(|other| follows(*other) == follows(said)).unwrap_or(said)
    }
}

/// Asks the shop's own code.
fn decide(said: Said, attempts: u8) -> (Verdict, u8) {
    let code = String::new;
    let outcome = match said {
        Said::Approved => Outcome::Approved { reference: code() },
        Said::Refused => Outcome::Declined { code: code(), retryable: false },
        Said::Declined => Outcome::Declined { code: code(), retryable: true },
        Said::Transient => Outcome::Transient { code: code() },
        Said::Unknown => Outcome::Unknown { code: code() },
        Said::Voided => Outcome::Voided { code: code() },
    };
    let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(1) };
    let policy = Policy { backoff, max_attempts: i32::try_from(MAX_ATTEMPTS).unwrap_or(i32::MAX) };
    let verdict = match next::decide(&outcome, History { attempts: attempts.into(), retries: 0 }, policy, 0.0) {
        Next::Complete { .. } => Verdict::Complete,
        Next::Fail => Verdict::Fail,
        Next::Retry { new_charge, .. } => Verdict::Again { new_charge },
    };
    (verdict, attempts + u8::from(next::spends_attempt(&outcome)))
}
