//! The command line of `shopctl users`.

use clap::{Args, Subcommand};

use super::ShopArgs;

/// The commands below `shopctl users`.
#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// Revoke all tokens of a user, and end all their sessions
    ///
    /// Whoever uses one gets 401 `token_revoked` within a second or two, and open
    /// sockets are closed. The user can log in again: to keep somebody out who knows
    /// the password, change that as well.
    #[command(after_help = "\
Examples:
  shopctl users revoke eve@example.com")]
    Revoke(UsersRevokeArgs),
}

/// Options of `shopctl users revoke`.
#[derive(Debug, Args)]
pub(crate) struct UsersRevokeArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Their email
    #[arg(value_name = "EMAIL")]
    pub(crate) email: String,
}
