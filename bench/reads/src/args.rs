//! The command line; the comments on the fields are its help.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;
use shop_bench_kit::options::Options;

/// Measure pages of the catalogue beside servers that only send the same bytes
#[derive(Parser, Debug)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Start the api and its rivals one after the other, ask each for the same pages, and compare. Linux only
    Measure(MeasureArgs),
    /// Send the same answer to everybody: one of the rivals, which `measure` starts
    #[command(hide = true)]
    Serve {
        /// Which one
        #[arg(value_enum)]
        rival: Rival,
        /// The file with the answer
        exchange: PathBuf,
    },
}

#[derive(Parser, Debug)]
pub(crate) struct MeasureArgs {
    /// Connections, each with one request at a time
    #[arg(long, default_value = "32", value_name = "N")]
    pub(crate) connections: NonZeroUsize,

    #[command(flatten)]
    pub(crate) options: Options,
}

/// A server that sends the same answer to everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Rival {
    /// Bare hyper 1
    Hyper,
    /// Rocket, tuned as the api is
    Rocket,
}

impl Rival {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hyper => "hyper",
            Self::Rocket => "rocket",
        }
    }
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
