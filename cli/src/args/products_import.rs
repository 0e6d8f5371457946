//! The command line of `shopctl products import` and `export`.

use std::path::PathBuf;

use clap::Args;
use shop_common::reason::Reason;

use super::{ConsentArgs, DirArgs, ShopArgs};

/// Options of `shopctl products import`.
#[derive(Debug, Args)]
pub(crate) struct ProductsImportArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// The file; `-` for what comes on stdin
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Pass over lines that are refused, and import the others
    #[arg(long)]
    pub(crate) skip_invalid: bool,

    /// Change products that have the sku of a line; else such lines are refused
    #[arg(long)]
    pub(crate) update: bool,

    /// Why the stock of those that are changed is another; `import FILE` if this is not said
    #[arg(long, requires = "update")]
    pub(crate) reason: Option<Reason>,

    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// Options of `shopctl products export`.
#[derive(Debug, Args)]
pub(crate) struct ProductsExportArgs {
    #[command(flatten)]
    pub(crate) home: DirArgs,

    /// The file, which is replaced if it is there; stdout without one
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}
