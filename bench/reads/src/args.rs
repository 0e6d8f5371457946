//! The command line; the comments on the fields are its help.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;

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

    /// How long each page is asked for
    #[arg(long, default_value = "5", value_name = "SECONDS")]
    pub(crate) seconds: NonZeroUsize,

    /// How often all is measured again; medians are shown
    #[arg(long, default_value = "3", value_name = "N")]
    pub(crate) runs: NonZeroUsize,

    /// Write everything to this file, as JSON
    #[arg(long, value_name = "FILE.json")]
    pub(crate) json: Option<PathBuf>,

    /// The folder with the `shop-api` to measure, built with --release
    #[arg(long, value_name = "DIR")]
    pub(crate) programs: PathBuf,

    /// A PostgreSQL on which databases may be made (`shopctl services run` sets it)
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) database_url: String,

    /// A Redis (`shopctl services run` sets it)
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) redis_url: String,
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
