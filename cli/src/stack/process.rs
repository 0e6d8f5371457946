//! Names a process so that a number used again by another one is not mistaken
//! for it.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

/// A process number and, where the system tells, when that process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: u32,
    /// Clock ticks since boot; `None` off Linux.
    started: Option<u64>,
}

impl ProcessId {
    /// The process that has this number now.
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid, started: begun(pid) }
    }

    /// Whether we can tell this process from another one with its number.
    pub(crate) fn is_certain(self) -> bool {
        self.started.is_some()
    }

    /// Whether this very process still runs. One that has ended but was not
    /// collected by its parent does not: in containers that can last forever.
    pub(crate) fn is_alive(self) -> bool {
        if cfg!(target_os = "linux") {
            begun(self.pid).is_some_and(|now| self.started.is_none_or(|then| then == now))
        } else {
            number(self.pid).is_some_and(|pid| kill(pid, None) != Err(nix::errno::Errno::ESRCH))
        }
    }

    /// Sends a signal if the process is still the one we mean.
    pub(crate) fn signal(self, signal: Signal) -> nix::Result<()> {
        match number(self.pid) {
            Some(pid) if self.is_alive() => kill(pid, signal),
            _ => Ok(()),
        }
    }

    /// Waits until the process has ended; `false` if it outlives the limit.
    pub(crate) async fn gone(self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(Duration::from_millis(20)).await;
        }
        true
    }
}

/// Zero and numbers beyond `i32` would address groups of processes.
fn number(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().filter(|pid| *pid > 0).map(Pid::from_raw)
}

/// When a running process began, from `/proc`; `None` if it does not run.
fn begun(pid: u32) -> Option<u64> {
    parse_begun(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_begun(stat: &str) -> Option<u64> {
    // The second field is the name in parentheses, which may itself hold
    // spaces and parentheses: count from the last one.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_the_22nd_field_whatever_the_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 4711 1 2";
        assert_eq!(parse_begun(stat), Some(4711));
        assert_eq!(parse_begun(&stat.replace(") S ", ") Z ")), None);
    }

    #[test]
    fn we_are_alive_and_another_with_our_number_is_not() {
        let us = ProcessId::of(std::process::id());
        assert!(us.is_alive());
        if let Some(started) = us.started {
            assert!(!ProcessId { started: Some(started + 1), ..us }.is_alive());
        }
    }

    #[test]
    fn a_group_is_never_addressed() {
        assert_eq!(number(0), None);
        assert_eq!(number(u32::MAX), None);
    }
}
