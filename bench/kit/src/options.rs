//! What all benchmarks are told on the command line, and how they leave.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use shop_common::config;
use shop_common::redis::Redis;

/// Says what went wrong, if anything did, and how the program leaves.
pub fn exit(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

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

    /// The Redis, under that prefix.
    ///
    /// # Errors
    /// When its URL cannot be read.
    pub fn redis(&self, prefix: &str) -> anyhow::Result<Redis> {
        let url = self.redis_url.as_str().into();
        Ok(Redis::connect(&config::Redis { url, prefix: prefix.to_owned(), timeout_ms: 5000 })?)
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
