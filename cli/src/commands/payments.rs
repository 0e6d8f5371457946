//! `shopctl payments`: how orders are paid, and the gateway's ledger against the shop's payments.

mod list;
mod reconcile;
mod show;

pub(crate) use self::reconcile::Audited;
pub(crate) use self::show::{in_short, print_attempts};
use crate::args::payments::PaymentsCommand;
use crate::exit::Failure;

/// `shopctl payments …`.
pub(crate) async fn run(command: PaymentsCommand) -> Result<(), Failure> {
    match command {
        PaymentsCommand::List(args) => list::list(&args).await,
        PaymentsCommand::Show(args) => show::show(&args).await,
        PaymentsCommand::Reconcile(args) => reconcile::reconcile(&args).await,
    }
}
