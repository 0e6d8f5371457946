//! Counting of what may be dropped before it has an outcome: a call that nobody waits for any longer is one too.

use std::time::{Duration, Instant};

/// The outcome of what was dropped.
pub const ABANDONED: &str = "abandoned";

/// Something that goes on. It is recorded when it ends, or as [`ABANDONED`] when it is dropped before.
pub struct Pending<Record: FnMut(&'static str, Duration)> {
    since: Instant,
    outcome: &'static str,
    record: Record,
}

impl<Record: FnMut(&'static str, Duration)> Pending<Record> {
    /// It begins now. `record` gets its outcome and how long it took.
    pub fn new(record: Record) -> Self {
        Self { since: Instant::now(), outcome: ABANDONED, record }
    }

    /// It has ended.
    pub fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl<Record: FnMut(&'static str, Duration)> Drop for Pending<Record> {
    fn drop(&mut self) {
        (self.record)(self.outcome, self.since.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_is_recorded_once_and_what_is_dropped_is_abandoned() {
        let mut seen = Vec::new();
        Pending::new(|outcome, _| seen.push(outcome)).end("ok");
        drop(Pending::new(|outcome, _| seen.push(outcome)));
        assert_eq!(seen, ["ok", ABANDONED]);
    }
}
