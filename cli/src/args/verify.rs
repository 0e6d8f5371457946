//! The command line of `shopctl verify`.

use clap::Args;

use super::ShopArgs;

/// Options of `shopctl verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Repair what can be repaired with proof, and check again
    #[arg(long)]
    pub(crate) repair: bool,

    /// Only say what would be repaired
    #[arg(long, requires = "repair")]
    pub(crate) dry_run: bool,
}
