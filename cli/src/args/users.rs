//! The command line of `shopctl users`.

use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use shop_common::id::UserId;
use shop_common::users::directory::EmailPart;
use shop_common::users::{Email, EmailError};

use super::{PageArgs, ShopArgs};

/// The commands below `shopctl users`.
#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// List users, newest first
    #[command(after_help = "\
Examples:
  shopctl users list
  shopctl users list --role admin
  shopctl users list --email lovelace --limit 100 -o jsonl")]
    List(UsersListArgs),

    /// Show a user: where they are logged in, their orders by status, whether their password is the default one
    #[command(after_help = "\
Examples:
  shopctl users show ada@example.com
  shopctl users show 01890000-0000-7000-8000-000000000000 -o json")]
    Show(UsersShowArgs),

    /// Revoke all tokens of a user, and end all their sessions
    ///
    /// Whoever uses one gets 401 `token_revoked` within a second or two, and open
    /// sockets are closed. The user can log in again: to keep somebody out who knows
    /// the password, change that as well, with `admin password`.
    #[command(after_help = "\
Examples:
  shopctl users revoke eve@example.com")]
    Revoke(UsersRevokeArgs),
}

/// Options of `shopctl users list`.
#[derive(Debug, Args)]
pub(crate) struct UsersListArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Only those who may do that
    #[arg(long, value_enum)]
    pub(crate) role: Option<RoleArg>,

    /// Only those whose email has this in it
    #[arg(long, value_name = "TEXT")]
    pub(crate) email: Option<EmailPart>,

    /// What to sort by
    #[arg(long, value_enum, default_value_t = UserSort::Newest)]
    pub(crate) sort: UserSort,

    #[command(flatten)]
    pub(crate) page: PageArgs,
}

/// The roles of users, as they are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleArg {
    /// Keeps the catalogue
    Admin,
    /// Orders
    Client,
}

/// What users can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UserSort {
    /// The newest first
    Newest,
    /// By email
    Email,
}

/// Options of `shopctl users show`.
#[derive(Debug, Args)]
pub(crate) struct UsersShowArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Their email, or their id
    #[arg(value_name = "USER")]
    pub(crate) user: UserArg,
}

/// Options of `shopctl users revoke`.
#[derive(Debug, Args)]
pub(crate) struct UsersRevokeArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Their email, or their id
    #[arg(value_name = "USER")]
    pub(crate) user: UserArg,
}

/// A user, as an operator names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UserArg {
    /// By their id.
    Id(UserId),
    /// By their email.
    Email(Email),
}

impl FromStr for UserArg {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Self, EmailError> {
        text.parse().map(Self::Id).or_else(|_| text.parse().map(Self::Email))
    }
}
