//! The command line of `shopctl doctor`.

use clap::Args;

use super::{Format, ShopArgs};

/// Options of `shopctl doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// As `-o json`
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

impl DoctorArgs {
    /// How to print it.
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.shop.output }
    }
}
