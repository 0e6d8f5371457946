//! What this worker has been doing: counted as it happens, and told with each heartbeat, so that nobody has to search the jobs for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shop_common::jobs::lateness::Starts;
use shop_common::jobs::workers::Pulse;

/// Counts of one worker.
pub(crate) struct Doings(Mutex<Counts>);

struct Counts {
    settled: u64,
    /// When it was told last, and what had been settled then.
    told_at: Instant,
    told_settled: u64,
    /// Since then.
    started: Starts,
}

impl Default for Doings {
    fn default() -> Self {
        Self(Mutex::new(Counts { settled: 0, told_at: Instant::now(), told_settled: 0, started: Starts::default() }))
    }
}

impl Doings {
    /// A job has begun that was so late.
    pub(crate) fn started(&self, late: Duration) {
        self.lock().started.add(late);
    }

    /// An attempt is settled.
    pub(crate) fn settled(&self) {
        self.lock().settled += 1;
    }

    /// What is told of the time since it was told last.
    pub(crate) fn tell(&self, in_hand: usize) -> Pulse {
        let mut counts = self.lock();
        let now = Instant::now();
        let pulse = Pulse {
            in_hand,
            settled: counts.settled,
            lately: now - counts.told_at,
            lately_settled: counts.settled - counts.told_settled,
            lately_started: std::mem::take(&mut counts.started),
        };
        counts.told_at = now;
        counts.told_settled = counts.settled;
        pulse
    }

    /// A panic elsewhere leaves counts that are still counts.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_not_told_again_but_what_was_settled_is_added_up() {
        let doings = Doings::default();
        doings.started(Duration::from_secs(1));
        doings.settled();
        let first = doings.tell(3);
        assert_eq!((first.in_hand, first.settled, first.lately_settled), (3, 1, 1));
        assert!(first.lately_started.lateness().unwrap().p50 >= 1.0);

        doings.settled();
        let second = doings.tell(0);
        assert_eq!((second.settled, second.lately_settled, second.lately_started.lateness()), (2, 1, None));
    }
}
