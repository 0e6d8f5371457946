//! `bench-growth` measures how the cost of an answer grows with the shop, and draws it.

mod backlog;
mod catalogue;
mod chart;
mod curves;
mod goals;
mod measure;
mod orders;
mod probe;
mod sockets;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shop_bench_kit::options::{Options, exit};

const CHARTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/performance");

/// Measure how costs grow with the catalogue, past orders, waiting jobs and open sockets. Linux only
#[derive(Parser, Debug)]
#[command(version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    options: Options,

    /// Sizes are 1,000, 10,000 and so on up to this one
    #[arg(long, default_value = "1000000", value_name = "N")]
    largest: NonZeroUsize,

    /// The folder for the charts, as SVG
    #[arg(long, default_value = CHARTS, value_name = "DIR", global = true)]
    charts: PathBuf,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Measure nothing, and draw how far the goals in these reports (--json) are reached
    Goals {
        /// The reports
        #[arg(required = true, value_name = "FILE.json")]
        reports: Vec<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    shop_common::files::allow_many();
    let args = Args::parse();
    let done = match &args.command {
        None => measure::measure(&args).await,
        Some(Command::Goals { reports }) => goals::draw(&args.charts, reports),
    };
    exit(done)
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
