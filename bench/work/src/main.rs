//! `bench-work` measures how fast jobs are done, how late they begin, and what many of them cost.

mod backlog;
mod bull;
mod drain;
mod fill;
mod instant;
mod lateness;
mod measure;
mod pgbench;
mod queue;
mod raw;
mod scaling;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shop_bench_kit::options::{Options, exit};

/// Measure how fast jobs are done, beside pgbench, BullMQ and Redis' own tools doing the same or less
///
/// BullMQ is installed by `npm ci --prefix bench/work/rival`.
#[derive(Parser, Debug)]
#[command(version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    options: Options,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Work as shop-worker does, with a gateway that approves at once: what is measured here
    #[command(hide = true)]
    ServeWorker,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let ended = match args.command {
        Some(Command::ServeWorker) => instant::serve().await,
        None => measure::measure(&args.options).await,
    };
    exit(ended)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
