//! The command line of `shopctl doctor` and `logs`.

use clap::{Args, ValueEnum};

use super::ShopArgs;

/// Options of `shopctl logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Only this one: `api` for all apis, or `api-1`, `worker-1`, `postgres`, `redis`, `shop`
    #[arg(value_name = "SERVICE")]
    pub(crate) service: Option<String>,

    /// Go on with what is written from now on, until Ctrl-C or the end of the shop
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// How many of the last lines to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) lines: usize,

    /// Only lines of this level or worse
    #[arg(long, value_enum, default_value_t = Level::Trace)]
    pub(crate) level: Level,
}

/// How bad a line is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, serde::Serialize, utoipa::ToSchema)]
#[schema(as = LogLevel)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// Something failed
    Error,
    /// Something is not as it should be
    Warn,
    /// What happens
    Info,
    /// How it happens
    Debug,
    /// Everything
    Trace,
}
