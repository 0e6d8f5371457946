//! One program to run: everything needed to start it, the first time and every
//! time after.

use std::ffi::OsString;
use std::io::{self, PipeReader};
use std::path::PathBuf;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

use super::account::Account;

/// What a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Api,
    Worker,
    Redis,
    Postgres,
}

impl Kind {
    /// The signal that stops it in good order. PostgreSQL would wait for every
    /// client to leave on SIGTERM; SIGINT is its fast shutdown.
    pub(crate) fn stop_signal(self) -> Signal {
        match self {
            Self::Postgres => Signal::SIGINT,
            Self::Api | Self::Worker | Self::Redis => Signal::SIGTERM,
        }
    }

    /// The signal for when there is no more time. PostgreSQL answers SIGQUIT by
    /// an immediate shutdown that leaves no process behind.
    pub(crate) fn force_signal(self) -> Signal {
        match self {
            Self::Postgres => Signal::SIGQUIT,
            Self::Api | Self::Worker | Self::Redis => Signal::SIGKILL,
        }
    }
}

/// A program with its arguments, its environment and the account it runs under.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) envs: Vec<(&'static str, String)>,
    /// Where it runs, if not where we do.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) account: Option<Account>,
    /// How it is asked to stop; usually the kind's own signal.
    pub(crate) stop: Signal,
}

impl Service {
    /// Starts it. The pipe carries its stdout and stderr together, so that
    /// lines of both stay in the order in which they were written.
    pub(crate) fn spawn(&self) -> io::Result<(Child, PipeReader)> {
        let (output, input) = io::pipe()?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.envs.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        run_as(&mut command, self.account);
        // A group of its own: Ctrl-C on a terminal reaches only us, and we stop
        // the services in order.
        command.process_group(0);
        end_with_us(&mut command, self.kind.stop_signal());
        Ok((command.spawn()?, output))
    }
}

/// Makes a command run under an account.
pub(crate) fn run_as(command: &mut Command, account: Option<Account>) {
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
}

/// Makes a child end when we do, even if we are killed: on Linux the kernel
/// sends it this signal then. It counts for the thread that starts the child,
/// which is why all of shopctl runs on one.
pub(crate) fn end_with_us(command: &mut Command, signal: Signal) {
    command.kill_on_drop(true);
    #[cfg(target_os = "linux")]
    {
        let parent = nix::unistd::getpid();
        let ask_kernel = move || {
            nix::sys::prctl::set_pdeathsig(signal)?;
            // Were we killed just before that call, nobody would tell the child.
            if nix::unistd::getppid() == parent { Ok(()) } else { Err(nix::errno::Errno::ESRCH.into()) }
        };
        // SAFETY: between fork and exec only async-signal-safe calls are
        // allowed; this makes two plain system calls and allocates nothing.
        #[expect(unsafe_code, reason = "there is no safe way to set the parent-death signal of a child")]
        unsafe {
            command.pre_exec(ask_kernel);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = signal;
}
