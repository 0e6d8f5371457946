//! The command line of `shopctl admin`.

use clap::{Args, Subcommand};
use shop_common::seed::ADMIN_EMAIL;
use shop_common::users::{Email, UserName};

use super::{ConsentArgs, ShopArgs, typed};

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

    /// Set another password of an admin, or of any user
    ///
    /// A random one that is shown this once, or one from stdin. All their sessions end,
    /// as with `POST /auth/password`, and their tokens are refused within two seconds.
    #[command(after_help = "\
Examples:
  shopctl admin password
  shopctl admin password --email eve@example.com --password-stdin --yes < password.txt")]
    Password(AdminPasswordArgs),
}

/// Options of `shopctl admin create`.
#[derive(Debug, Args)]
pub(crate) struct AdminCreateArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Their email
    #[arg(long)]
    pub(crate) email: Email,

    /// What to call them
    #[arg(long, value_parser = typed::text::<UserName>)]
    pub(crate) name: Option<UserName>,

    /// Read the password from stdin instead of making one up
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// Options of `shopctl admin password`.
#[derive(Debug, Args)]
pub(crate) struct AdminPasswordArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Whose
    #[arg(long, default_value = ADMIN_EMAIL)]
    pub(crate) email: Email,

    /// Read the password from stdin instead of making one up
    #[arg(long)]
    pub(crate) password_stdin: bool,

    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}
