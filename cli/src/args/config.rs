//! The command line of `shopctl config`.

use clap::Subcommand;

use super::ShopArgs;

/// The commands below `shopctl config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// List all settings as they hold here, and where each comes from
    ///
    /// The settings are those of shop-api, shop-worker and shopctl alike. Secrets, and passwords in URLs, are not
    /// shown. What is set and nobody reads is named on stderr: no program starts with it.
    #[command(after_help = "\
Examples:
  shopctl config show
  shopctl config show -o jsonl | jq -r 'select(.source != \"compiledIn\").key'")]
    Show(ShopArgs),
}
