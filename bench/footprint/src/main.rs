//! `bench-footprint` measures what the shop's programs take: how long until they are of use, how much memory, and how
//! long for a large catalogue.

mod import;
mod loads;
mod measure;
mod memory;
mod start;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Parser;
use shop_bench_kit::options::{Options, exit};

/// Measure starts, memory and the import of a catalogue. Linux only
#[derive(Parser, Debug)]
#[command(version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    options: Options,

    /// Products of the catalogue that is imported
    #[arg(long, default_value = "1000000", value_name = "N")]
    rows: NonZeroUsize,
}

#[tokio::main]
async fn main() -> ExitCode {
    exit(measure::measure(&Args::parse()).await)
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
