//! The command line of what the program tells about itself: `completions`, `man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Options of `shopctl completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that shall complete
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Options of `shopctl man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command into this folder, and print their names
    #[arg(value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}
