//! `live` measures how live status reaches many sockets: from the shop, and from a socket.io server that does the same.

mod args;
mod audience;
mod books;
mod client;
mod deliveries;
mod feed;
mod machine;
mod measure;
mod report;
mod server;
mod summary;
mod target;
mod usage;
mod wire;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::args::Args;
use crate::report::Report;
use crate::target::Target;

/// Files that a program has open besides its sockets.
const OTHER_FILES: u64 = 500;

#[tokio::main]
async fn main() -> ExitCode {
    match live(&Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every run was whole: each change delivered once.
async fn live(args: &Args) -> anyhow::Result<bool> {
    raise_open_files(args.sockets.get())?;
    server::check_programs(&args.programs)?;
    let machine = machine::look(args).await?;
    let mut samples = Vec::new();
    for run in 1..=args.runs.get() {
        for target in Target::ALL {
            eprintln!("run {run} of {}: {target}", args.runs);
            let sample = measure::measure(args, target, run).await.with_context(|| format!("measuring {target}"))?;
            eprintln!("  {sample}");
            samples.push(sample);
        }
    }
    let report = Report::of(args, machine, samples);
    if let Some(path) = &args.json {
        report.write(path).with_context(|| format!("writing {}", path.display()))?;
    }
    std::io::stdout().lock().write_all(report.text().as_bytes()).context("writing the summary")?;
    Ok(report.is_whole())
}

/// Allows this program, and the servers that it starts, as many open files as the system gives.
fn raise_open_files(sockets: usize) -> anyhow::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).context("asking for the limit of open files")?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("raising the limit of open files")?;
    let needed = u64::try_from(sockets)?.saturating_add(OTHER_FILES);
    anyhow::ensure!(most >= needed, "{sockets} sockets need {needed} open files, and the system allows {most}");
    Ok(())
}
