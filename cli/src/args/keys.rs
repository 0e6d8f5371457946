//! The command line of `shopctl keys`.

use clap::{Args, Subcommand};
use shop_common::users::signing_keys::Kid;

use super::ShopArgs;

/// The commands below `shopctl keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key that signs from a few seconds on
    ///
    /// Nobody is logged out: all apis know the key before one of them signs with it, and
    /// the key before it goes on checking what it has signed, for as long as such a
    /// token lives (`auth.token_seconds`). At most two keys are live, so it is refused
    /// (exit 5) while tokens of the one before may be in use.
    ///
    /// Keys are derived from JWT_SECRET and their names. When the secret itself has
    /// become known, change that, and restart the apis: no rotation helps.
    #[command(after_help = "\
Examples:
  shopctl keys rotate
  shopctl keys rotate -o json | jq -r .kid")]
    Rotate(ShopArgs),

    /// List the keys, newest first
    ///
    /// A key is `upcoming` (signs in a few seconds), `signs`, `checks` (what it has signed
    /// before) or `retired`.
    #[command(after_help = "\
Examples:
  shopctl keys list
  shopctl keys list -o json")]
    List(ShopArgs),

    /// Refuse all that a key has signed
    ///
    /// Within a second or two each api refuses its tokens (401 `token_invalid`); whoever has a
    /// refresh token gets another one. The key that signs cannot be retired: rotate first.
    #[command(after_help = "\
Examples:
  shopctl keys retire 0123456789abcdef")]
    Retire(KeysRetireArgs),
}

/// Options of `shopctl keys retire`.
#[derive(Debug, Args)]
pub(crate) struct KeysRetireArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Its name, as `keys list` shows it
    #[arg(value_name = "KID")]
    pub(crate) kid: Kid,
}
