//! The feature `chaos`: failpoints (crate `fail`) and the planted bug, as the environment says.

use std::sync::OnceLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::{Bug, CANCELLATION, PLACEMENT, REFUND, WORKER};

static PLANTED: OnceLock<Bug> = OnceLock::new();

/// Why a process with faults does not start.
#[derive(Debug, thiserror::Error)]
pub enum ChaosError {
    /// There is no such bug.
    #[error("SHOP_BREAK: there is no bug {0:?}, only {names}", names = Bug::ALL.map(Bug::name).join(", "))]
    UnknownBug(String),
    /// There is no such step.
    #[error("FAILPOINTS: there is no step {0:?}, only {names}", names = steps().collect::<Vec<_>>().join(", "))]
    UnknownStep(String),
    /// What is to happen at a step cannot be read.
    #[error("FAILPOINTS: {0}")]
    Unreadable(String),
}

fn steps() -> impl Iterator<Item = &'static str> {
    PLACEMENT.into_iter().chain(CANCELLATION).chain(REFUND).chain(WORKER)
}

/// Reads `SHOP_BREAK` (a bug's name) and `FAILPOINTS` (`step=actions;…`, see [`fail::cfg`]), once and for
/// the life of the process. The action `return` kills it, as `kill -9` does: `place.written=3*off->return`
/// at the fourth group that gets there.
///
/// # Errors
/// When one of them names something that is not there.
pub fn init() -> Result<(), ChaosError> {
    let bug = std::env::var("SHOP_BREAK").unwrap_or_default();
    if !bug.is_empty() {
        let known = Bug::ALL.into_iter().find(|known| known.name() == bug).ok_or(ChaosError::UnknownBug(bug))?;
        PLANTED.get_or_init(|| known);
    }
    let points = std::env::var("FAILPOINTS").unwrap_or_default();
    for point in points.split(';').map(str::trim).filter(|point| !point.is_empty()) {
        let unreadable = || ChaosError::Unreadable(format!("{point:?} is not `step=actions`"));
        let (name, actions) = point.split_once('=').ok_or_else(unreadable)?;
        let name = steps().find(|step| *step == name).ok_or_else(|| ChaosError::UnknownStep(name.to_owned()))?;
        fail::cfg(name, actions).map_err(ChaosError::Unreadable)?;
    }
    Ok(())
}

/// Whether this bug is planted.
pub fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(&bug)
}

/// A step that can be the last one of this process, or a long one.
pub fn step(name: &'static str) {
    let multi = Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    // One that is held up must hold up its own task only, not the tasks that wait for its thread.
    if multi { tokio::task::block_in_place(|| reach(name)) } else { reach(name) }
}

fn reach(name: &'static str) {
    fail::fail_point!(name, |_| die());
}

/// No destructor runs and no connection says goodbye.
fn die() {
    if let Err(error) = kill(Pid::this(), Signal::SIGKILL) {
        tracing::error!(%error, "this process cannot be killed");
    }
}
