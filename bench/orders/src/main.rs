//! `bench-orders` measures how fast orders are placed, beside a script that only writes what an order cannot do without.

mod measure;
mod rival;
mod works;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use shop_bench_kit::options::{Options, exit};

/// Measure how fast orders are placed over HTTP, beside pgbench doing the least that an order takes
#[derive(Parser, Debug)]
#[command(version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    options: Options,

    /// An export of order lines, for the real carts
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../replay/data/slice.csv.gz"), value_name = "FILE")]
    carts: PathBuf,

    /// Run this in the shop's database before anything is measured, to try what another index or setting would give
    #[arg(long = "try", value_name = "SQL")]
    try_sql: Option<String>,
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
