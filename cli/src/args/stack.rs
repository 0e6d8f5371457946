//! The command line of what runs a shop: `up`, `down`, `status`, `services`.

use std::ffi::OsString;

use clap::{Args, Subcommand, ValueEnum};

use super::DirArgs;

/// Options of `shopctl up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) home: DirArgs,

    /// Port of the first api; further ones take the ports after it
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,

    /// How many workers to run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(..=64))]
    pub(crate) workers: u16,

    /// How many apis to run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) apis: u16,

    /// Return once the shop is ready and leave it running
    #[arg(long)]
    pub(crate) detach: bool,

    /// Start without the sample catalogue
    #[arg(long)]
    pub(crate) empty: bool,

    /// Install missing servers without asking
    #[arg(long)]
    pub(crate) yes: bool,

    /// Set on the process that `--detach` leaves running.
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub(crate) detached: bool,
}

/// Options of `shopctl down`.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    pub(crate) home: DirArgs,
}

/// Options of `shopctl status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) home: DirArgs,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t = StatusFormat::Table)]
    pub(crate) output: StatusFormat,
}

/// The forms `shopctl status` can print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusFormat {
    /// For people
    Table,
    /// For programs
    Json,
    /// For programs, on one line
    Jsonl,
    /// For a shell: NAME=value lines, with the passwords in the URLs
    Env,
}

/// The commands below `shopctl services`.
#[derive(Debug, Subcommand)]
pub(crate) enum ServicesCommand {
    /// Run COMMAND with a PostgreSQL and a Redis of its own
    ///
    /// Both start empty on free ports, COMMAND finds them in DATABASE_URL and
    /// REDIS_URL, and everything is gone when it ends. Leaves with COMMAND's
    /// exit code. Servers that are already named in the environment are used
    /// instead.
    #[command(after_help = "\
Examples:
  shopctl services run -- cargo test
  shopctl services run -- sh -c 'psql \"$DATABASE_URL\" -c \"select version()\"'")]
    Run(ServicesRunArgs),
}

/// Options of `shopctl services run`.
#[derive(Debug, Args)]
pub(crate) struct ServicesRunArgs {
    /// Install missing servers without asking
    #[arg(long)]
    pub(crate) yes: bool,

    /// What to run, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
