//! The command line of `shopctl payments`.

use clap::{Args, Subcommand};
use shop_common::id::OrderId;
use shop_common::payments::{PaymentMethod, PaymentStatus};
use uuid::Uuid;

use super::typed::{self, Moment};
use super::{PageArgs, ShopArgs};

/// The commands below `shopctl payments`.
#[derive(Debug, Subcommand)]
pub(crate) enum PaymentsCommand {
    /// List payments, newest first
    #[command(after_help = "\
Examples:
  shopctl payments list --status failed --since 24h
  shopctl payments list --method pm_sim_success -o jsonl")]
    List(PaymentsListArgs),

    /// Show a payment: its attempts, its refund, and what audits found about it
    #[command(after_help = "\
Examples:
  shopctl payments show 01890000-0000-7000-8000-000000000000")]
    Show(PaymentsShowArgs),

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

/// Options of `shopctl payments list`.
#[derive(Debug, Args)]
pub(crate) struct PaymentsListArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Only those that are so far
    #[arg(long, value_parser = typed::payment_status(), ignore_case = true)]
    pub(crate) status: Option<PaymentStatus>,

    /// Only those that are paid so
    #[arg(long, value_parser = typed::text::<PaymentMethod>)]
    pub(crate) method: Option<PaymentMethod>,

    /// Only that of this order
    #[arg(long)]
    pub(crate) order: Option<OrderId>,

    /// Only those that were made then or later: a time, a day, or an age such as 24h
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Moment>,

    /// Only those that were made before
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Moment>,

    #[command(flatten)]
    pub(crate) page: PageArgs,
}

/// Options of `shopctl payments show`.
#[derive(Debug, Args)]
pub(crate) struct PaymentsShowArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Which payment: its id, or that of its order
    #[arg(value_name = "ID")]
    pub(crate) id: Uuid,
}
