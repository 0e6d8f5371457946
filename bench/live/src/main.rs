//! `live` measures how live status reaches many sockets: from the shop, and from a socket.io server that does the same.

mod args;
mod audience;
mod books;
mod client;
mod crowd;
mod deliveries;
mod feed;
mod machine;
mod measure;
mod report;
mod server;
mod summary;
mod target;
mod wire;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use shop_common::files;

use crate::args::Args;
use crate::report::Report;
use crate::target::Target;

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
    // The servers that it starts inherit it.
    files::allow_many();
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
    eprintln!("a crowd that comes back");
    let crowd = crowd::measure(args).await.context("measuring a crowd")?;
    let report = Report::of(args, machine, samples, crowd);
    if let Some(path) = &args.json {
        report.write(path).with_context(|| format!("writing {}", path.display()))?;
    }
    std::io::stdout().lock().write_all(report.text().as_bytes()).context("writing the summary")?;
    Ok(report.is_whole())
}
