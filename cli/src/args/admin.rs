//! The command line of `shopctl admin`.

use clap::{Args, Subcommand};

use super::ShopArgs;

/// The commands below `shopctl admin`.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Create the first admin, admin@example.com
    ///
    /// In development its password is `password`; in production it is random
    /// and shown this once. Does nothing where there is an admin already.
    #[command(after_help = "\
Examples:
  shopctl admin seed")]
    Seed(ShopArgs),

    /// Create another admin
    ///
    /// With a random password that is shown this once, or with one from stdin.
    #[command(after_help = "\
Examples:
  shopctl admin create --email eve@example.com
  shopctl admin create --email eve@example.com --password-stdin < password.txt")]
    Create(AdminCreateArgs),
}

/// Options of `shopctl admin create`.
#[derive(Debug, Args)]
pub(crate) struct AdminCreateArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Their email
    #[arg(long)]
    pub(crate) email: String,

    /// What to call them
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// Read the password from stdin instead of making one up
    #[arg(long)]
    pub(crate) password_stdin: bool,
}
