//! `shopctl services run`: a command with a PostgreSQL and a Redis of its own.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

use crate::args::stack::ServicesRunArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::stack::databases::{Databases, Given, Site, Urls};
use crate::stack::log::Log;
use crate::stack::process::ProcessId;
use crate::stack::service::end_with_us;
use crate::stack::signals::Asked;
use crate::stack::supervisor::Supervisor;
use crate::stack::{files, home};

/// Starts both servers, runs the command, and leaves nothing behind.
pub(crate) async fn run(args: &ServicesRunArgs) -> Result<(), Failure> {
    let site = Site::survey(Given::from_env(), None, args.yes)?;
    let mut asked = Asked::listen()?;
    let folder = home::temporary(site.account())?;
    let log = folder.path().join("servers.log");
    let databases = Databases::temporary(folder.path(), &site)?;
    let supervisor = Supervisor::new(Log::file(files::fresh_log(&log)?), asked.clone(), Box::new(|_, _| ()));
    let opened = tokio::select! {
        opened = databases.open(&supervisor) => opened.map_err(Failure::from),
        signal = asked.next() => Err(Failure::silent(Exit::Command(code_of_signal(signal as i32)))),
    };
    let ended = match opened {
        Ok(()) => run_command(&args.command, databases.urls(), &mut asked).await,
        Err(failure) => Err(failure),
    };
    if supervisor.has_lost_one() {
        show(&log);
    }
    supervisor.stop().await;
    folder.close()?;
    ended
}

async fn run_command(command: &[OsString], urls: &Urls, asked: &mut Asked) -> Result<(), Failure> {
    let mut child = spawn(command, urls)?;
    let process = child.id().map(ProcessId::of);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            signal = asked.next() => if !comes_from_terminal(signal) && let Some(process) = process {
                process.signal(signal)?;
            },
        }
    };
    match code_of(status) {
        0 => Ok(()),
        code => Err(Failure::silent(Exit::Command(code))),
    }
}

fn spawn(command: &[OsString], urls: &Urls) -> Result<Child, Failure> {
    let [program, arguments @ ..] = command else {
        return Err(Failure::new(Exit::Failed, "there is no command to run"));
    };
    let mut command = Command::new(program);
    command.args(arguments).env("DATABASE_URL", &urls.database).env("REDIS_URL", &urls.redis);
    end_with_us(&mut command, Signal::SIGTERM);
    command.spawn().map_err(|error| {
        let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        Failure::new(exit, format!("cannot run {}: {error}", Path::new(program).display()))
    })
}

/// A terminal sends Ctrl-C, and the end of the session, to the command as well:
/// handing it on would make it two.
fn comes_from_terminal(signal: Signal) -> bool {
    let on_terminal = io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
    on_terminal && matches!(signal, Signal::SIGINT | Signal::SIGHUP)
}

/// The command's exit code, or what a shell makes of the signal that ended it.
fn code_of(status: ExitStatus) -> u8 {
    let by_signal = status.signal().map(code_of_signal);
    by_signal.or_else(|| u8::try_from(status.code()?).ok()).unwrap_or(1)
}

fn code_of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(1)
}

fn show(log: &Path) {
    match files::last_lines(log, 20) {
        Ok(lines) => output::note(format!("note: a server ended by itself; the last lines of both:\n{lines}")),
        Err(error) => output::note(format!("note: the servers' log cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_reads_as_in_a_shell() {
        assert_eq!(code_of(ExitStatus::from_raw(Signal::SIGTERM as i32)), 143);
        assert_eq!(code_of(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(code_of(ExitStatus::from_raw(0)), 0);
    }
}
