//! The command line of every list that has pages.

use clap::Args;

/// Which part of a list.
#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,

    /// Go on where a page ended: with the cursor that was noted under it
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,

    /// The other way round
    #[arg(long)]
    pub(crate) reverse: bool,
}
