//! Faults on purpose: steps where a process can be killed or held up, and bugs that can be planted.
//!
//! For the rig that shows what the shop survives, and that it would notice a shop that does
//! not. Only in builds with the cargo feature `chaos`, and even there only after `init`;
//! in a normal build [`step`] does nothing and [`planted`] is `false` when it is compiled.

#[cfg(feature = "chaos")]
mod armed;
mod bugs;

#[cfg(feature = "chaos")]
pub use armed::{ChaosError, init, planted, step};
pub use bugs::Bug;

/// The steps of a placement, in an api.
pub const PLACEMENT: [&str; 10] = [
    "place.begun",
    "place.keys_looked_up",
    "place.products_locked",
    "place.written",
    "place.events_appended",
    "place.before_commit",
    "place.after_commit",
    "place.before_enqueue",
    "place.after_enqueue",
    "place.before_answer",
];

/// The steps of a cancellation, in an api.
pub const CANCELLATION: [&str; 2] = ["cancel.before_commit", "cancel.after_commit"];

/// The steps of a refund: asked for in an api, done and settled in a worker.
pub const REFUND: [&str; 6] = [
    "refund.before_commit",
    "refund.after_commit",
    "refund.before",
    "refund.after",
    "refund.before_settled",
    "refund.after_settled",
];

/// The steps of a job, in a worker.
pub const WORKER: [&str; 7] = [
    "claim.after_script",
    "claim.taken",
    "charge.before",
    "charge.after",
    "settle.before_commit",
    "settle.after_commit",
    "ack.after",
];

/// A step that could be the last one of this process. In this build it is none.
#[cfg(not(feature = "chaos"))]
#[inline(always)]
pub const fn step(_name: &'static str) {}

/// Whether this bug is planted. In this build none is.
#[cfg(not(feature = "chaos"))]
#[inline(always)]
pub const fn planted(_bug: Bug) -> bool {
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// What follows `marker` in the sources of the api, the worker and this crate, up to `end`.
    fn uses(marker: &str, end: char) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut folders: Vec<_> = ["api/src", "common/src", "worker/src"].map(|folder| workspace.join(folder)).into();
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    folders.push(entry);
                } else {
                    let text = std::fs::read_to_string(entry).unwrap();
                    found.extend(text.split(marker).skip(1).map(|rest| rest.split(end).next().unwrap().to_owned()));
                }
            }
        }
        found
    }

    #[test]
    fn every_step_that_is_listed_is_taken_and_no_other() {
        let listed = PLACEMENT.iter().chain(&CANCELLATION).chain(&REFUND).chain(&WORKER).map(|name| (*name).to_owned());
        assert_eq!(uses(concat!("chaos::", "step(\""), '"'), listed.collect());
    }

    #[test]
    fn every_bug_can_be_planted_somewhere() {
        let named = Bug::ALL.iter().map(|bug| format!("{bug:?}"));
        assert_eq!(uses(concat!("chaos::", "planted(Bug::"), ')'), named.collect());
    }

    #[test]
    fn no_bug_is_there_unless_it_is_asked_for() {
        assert!(Bug::ALL.iter().all(|bug| !planted(*bug)));
    }
}
