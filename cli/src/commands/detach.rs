//! `shopctl up --detach`: starts the shop in the background and waits for it.

use std::io;
use std::process::{ExitStatus, Stdio};

use anyhow::Context;
use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

use super::preflight::Preflight;
use super::{next_steps, up};
use crate::args::stack::UpArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::stack::home::Home;
use crate::stack::process::ProcessId;
use crate::stack::signals::Asked;
use crate::stack::state::{StackState, find_running};
use crate::stack::{files, probe};

/// Runs `shopctl up` once more, in the background, until the shop is ready.
pub(super) async fn run(args: &UpArgs) -> Result<(), Failure> {
    let home = Home::open(&args.home.dir)?;
    // Whatever needs an answer or is wrong already is settled here, on the terminal.
    let lock = home.lock()?;
    Preflight::check(args, &home).await?;
    drop(lock);

    let password = home.admin_password();
    let waited_before = password.exists();
    let asked = Asked::listen()?;
    let mut child = spawn(&home)?;
    let process = ProcessId::of(child.id().context("the shop ended at once")?);
    tokio::select! {
        state = ready(&home, process.pid) => {
            if password.exists() && !waited_before {
                output::note(up::password_waits(&password));
            }
            Ok(output::data(next_steps::text(&state, &args.home.dir, true))?)
        }
        status = child.wait() => Err(not_started(&home, status?)),
        () = asked.to_stop() => {
            process.signal(Signal::SIGTERM)?;
            child.wait().await?;
            Err(Failure::new(Exit::Failed, "stopped before the shop was ready"))
        }
    }
}

fn spawn(home: &Home) -> anyhow::Result<Child> {
    let start = || -> io::Result<Child> {
        let log = files::fresh_log(&home.log())?;
        let arguments = std::env::args_os().skip(1);
        Command::new(std::env::current_exe()?)
            .args(arguments.map(|argument| if argument == "--detach" { "--detached".into() } else { argument }))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
    };
    start().context("cannot go on in the background")
}

async fn ready(home: &Home, pid: u32) -> StackState {
    probe::until(async || find_running(home.path()).filter(|state| state.ready && state.pid() == pid)).await
}

fn not_started(home: &Home, status: ExitStatus) -> Failure {
    output::note(files::last_lines(&home.log(), 20).unwrap_or_default());
    let code = status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code > 0);
    Failure::new(code.map_or(Exit::Failed, Exit::Command), format!("the shop did not start ({status})"))
        .next(format!("read the whole log: {}", home.log().display()))
}
