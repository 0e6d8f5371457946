//! The command line of `shopctl payments`.

use clap::Subcommand;

use super::ShopArgs;

/// The commands below `shopctl payments`.
#[derive(Debug, Subcommand)]
pub(crate) enum PaymentsCommand {
    /// Compare the gateway's ledger with the shop's payments
    ///
    /// Only a worker can ask the gateway, so this asks a worker to, and waits
    /// for it. Money that the gateway has captured and that no order is paid
    /// with is given back, for example after an older backup was restored.
    /// Whatever is less clear is only shown. Leaves with 1 when there are
    /// findings. Workers do the same by themselves each hour.
    #[command(after_help = "\
Examples:
  shopctl payments reconcile
  shopctl payments reconcile -o json")]
    Reconcile(ShopArgs),
}
