//! A process that the rig has started, or none at the moment.

use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::lock;

/// Room for one process. What is in it is killed when the room is given up.
#[derive(Debug, Default)]
pub(super) struct Process(Mutex<Option<Child>>);

impl Process {
    /// Starts a command; what runs here is killed first. Gives the process id.
    pub(super) fn start(&self, command: &mut Command) -> std::io::Result<u32> {
        // Held all the time: of two faults that start a program, the second kills what the first has started.
        let mut process = lock(&self.0);
        end(&mut process, Signal::SIGKILL);
        let child = command.spawn()?;
        let id = child.id();
        *process = Some(child);
        Ok(id)
    }

    /// Whether it is there and has not ended.
    pub(super) fn runs(&self) -> bool {
        lock(&self.0).as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// How it ended, if it has ended without being told to.
    pub(super) fn ended(&self) -> Option<ExitStatus> {
        lock(&self.0).as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Its process id, if it is there.
    pub(super) fn id(&self) -> Option<u32> {
        lock(&self.0).as_ref().map(Child::id)
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, what: Signal) {
        if let Some(child) = lock(&self.0).as_mut() {
            signal(child, what);
        }
    }

    /// Sends it a signal that ends it, and waits for that.
    pub(super) fn end(&self, by: Signal) {
        end(&mut lock(&self.0), by);
    }

    /// Forgets one that has ended.
    pub(super) fn forget(&self) {
        lock(&self.0).take();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(Signal::SIGKILL);
    }
}

fn end(process: &mut Option<Child>, by: Signal) {
    if let Some(mut child) = process.take() {
        signal(&mut child, by);
        let _ = child.wait();
    }
}

/// Only while it has not been waited for: until then nobody else can have its process id.
fn signal(child: &mut Child, what: Signal) {
    if let (Ok(None), Ok(id)) = (child.try_wait(), i32::try_from(child.id())) {
        let _ = kill(Pid::from_raw(id), what);
    }
}
