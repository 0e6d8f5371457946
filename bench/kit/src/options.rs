//! What all benchmarks are told on the command line.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;

/// The options that all of them have.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// How long each load lasts
    #[arg(long, default_value = "5", value_name = "SECONDS", global = true)]
    pub seconds: NonZeroUsize,

    /// How often all is measured again; medians are shown
    #[arg(long, default_value = "3", value_name = "N", global = true)]
    pub runs: NonZeroUsize,

    /// Measure only what has this in its name; may be given several times
    #[arg(long, value_name = "TEXT", global = true)]
    pub only: Vec<String>,

    /// Write everything to this file, as JSON
    #[arg(long, value_name = "FILE.json", global = true)]
    pub json: Option<PathBuf>,

    /// The folder with the shop's programs, built with --release
    #[arg(long, default_value = "target/release", value_name = "DIR", global = true)]
    pub programs: PathBuf,

    /// A PostgreSQL on which databases may be made (`shopctl services run` sets it)
    #[arg(long, env = "DATABASE_URL", default_value = "", value_name = "URL", hide_env_values = true, global = true)]
    pub database_url: String,

    /// A Redis (`shopctl services run` sets it)
    #[arg(long, env = "REDIS_URL", default_value = "", value_name = "URL", hide_env_values = true, global = true)]
    pub redis_url: String,
}

impl Options {
    /// Whether a work of that name is to be measured.
    pub fn wants(&self, work: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| work.contains(part.as_str()))
    }

    /// One of the shop's programs.
    ///
    /// # Errors
    /// When it is not there.
    pub fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        let program: &Path = &self.programs.join(name);
        anyhow::ensure!(program.is_file(), "{} is not there: cargo build --release --locked", program.display());
        Ok(program.to_owned())
    }
}
