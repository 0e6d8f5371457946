//! The command line; the comments on the fields are its help.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;

/// Measure live status: many idle sockets, some status changes per second, the shop beside socket.io
///
/// For each run it starts, in turn, the shop's api with sockets on /ws, the shop's api with Socket.IO clients,
/// and a socket.io server on Node; opens the sockets, feeds the changes, and counts what arrives. Linux only.
/// Exits with 0 only if every change was delivered exactly once in every run.
#[derive(Parser, Debug)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    /// Sockets, each of a user of its own
    #[arg(long, default_value = "5000", value_name = "N")]
    pub(crate) sockets: NonZeroUsize,

    /// Status changes per second, each of a user drawn at random
    #[arg(long, default_value = "500", value_name = "N")]
    pub(crate) rate: NonZeroUsize,

    /// How long changes are fed and measured
    #[arg(long, default_value = "20", value_name = "SECONDS")]
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
