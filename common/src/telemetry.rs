//! Logs and traces of a daemon.

#[cfg(feature = "otel")]
pub(crate) mod otel;
mod traces;

use tracing_subscriber::EnvFilter;

pub use self::traces::{Traces, init_traces};
use crate::config::{Log, LogFormat};

/// Why logs or traces cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not in the syntax of `EnvFilter`.
    #[error("log.filter (or SHOP_LOG) cannot be read: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Something else logs already.
    #[error("logging is set up already: {0}")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// Something else takes the lines of the `log` crate already.
    #[error("logging is set up already: {0}")]
    LogTwice(#[from] tracing_log::log::SetLoggerError),
    /// Spans cannot be sent.
    #[cfg(feature = "otel")]
    #[error(transparent)]
    Traces(#[from] otel::OtelError),
}

/// Sends logs to stdout, as JSON or for people. Libraries that use the `log` crate speak from warnings up.
///
/// # Errors
/// When the filter cannot be read, or logs are set up already.
pub fn init_logs(settings: &Log) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&settings.filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    match settings.format {
        LogFormat::Json => {
            tracing::subscriber::set_global_default(
                lines.json().flatten_event(true).with_current_span(true).with_span_list(false).finish(),
            )?;
        }
        LogFormat::Readable => {
            tracing::subscriber::set_global_default(lines.compact().with_ansi(false).with_target(false).finish())?;
        }
    }
    // Rocket is left out, and the code that its macros write into the daemons: it warns of every
    // setting that is not its own, and what it could say of requests, the shop says itself.
    tracing_log::LogTracer::builder()
        .with_max_level(tracing_log::log::LevelFilter::Warn)
        .ignore_crate("rocket")
        .ignore_crate("shop_api")
        .ignore_crate("shop_worker")
        .init()?;
    Ok(())
}
