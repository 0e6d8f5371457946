//! The command line of `shopctl migrate`.

use clap::{Args, Subcommand};

use super::{ConsentArgs, DirArgs, ShopArgs};

/// The commands below `shopctl migrate`.
#[derive(Debug, Subcommand)]
pub(crate) enum MigrateCommand {
    /// Apply the migrations that are missing
    ///
    /// Each in a transaction of its own. Two at once are one: the second waits
    /// for the first. A database that is migrated for the first time is marked
    /// with what it is for, development or production.
    #[command(after_help = "\
Examples:
  shopctl migrate run
  shopctl migrate run --dry-run
  DATABASE_URL=postgres://… shopctl migrate run")]
    Run(MigrateRunArgs),

    /// List the migrations and whether the database has them
    #[command(after_help = "\
Examples:
  shopctl migrate status
  shopctl migrate status -o json")]
    Status(ShopArgs),

    /// Write the next migration, for developers
    #[command(after_help = "\
Examples:
  shopctl migrate new 'add sku'")]
    New(MigrateNewArgs),

    /// Delete the whole shop and start afresh
    ///
    /// Asks first, and refuses a database that is not marked development.
    #[command(after_help = "\
Examples:
  shopctl migrate reset
  shopctl migrate reset --yes")]
    Reset(MigrateResetArgs),
}

/// Options of `shopctl migrate run`.
#[derive(Debug, Args)]
pub(crate) struct MigrateRunArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Only list what would be applied, with its statements in `-o json`; nothing is written and nothing is locked
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Options of `shopctl migrate new`.
#[derive(Debug, Args)]
pub(crate) struct MigrateNewArgs {
    /// What it does, in a few words
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// Options of `shopctl migrate reset`.
#[derive(Debug, Args)]
pub(crate) struct MigrateResetArgs {
    #[command(flatten)]
    pub(crate) home: DirArgs,

    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}
