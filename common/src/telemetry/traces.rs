//! Where spans go: to a collector with the cargo feature `otel`, nowhere without it.

use super::TelemetryError;
#[cfg(feature = "otel")]
use super::otel::Exporter;

/// What sends spans, from the start of a daemon to its end.
#[derive(Debug)]
#[must_use = "what waits to be sent is lost unless it is flushed at the end"]
pub struct Traces {
    #[cfg(feature = "otel")]
    exporter: Option<Exporter>,
}

/// Starts to send spans as the environment (`OTEL_…`) says, under the name of the daemon unless that gives another.
/// A build without the feature `otel` sends none.
///
/// # Errors
/// When the collector's address cannot be read, or is one of a kind that this build cannot speak to.
#[cfg(feature = "otel")]
pub fn init_traces(service: &'static str) -> Result<Traces, TelemetryError> {
    Ok(Traces { exporter: Exporter::start(service)? })
}

/// Sends no spans: this build is without the feature `otel`.
///
/// # Errors
/// None.
#[cfg(not(feature = "otel"))]
pub fn init_traces(_: &'static str) -> Result<Traces, TelemetryError> {
    Ok(Traces {})
}

impl Traces {
    /// Sends what waits to be sent, for as long as the end of a daemon may wait for that.
    pub async fn flush(self) {
        #[cfg(feature = "otel")]
        if let Some(exporter) = self.exporter {
            exporter.flush().await;
        }
    }
}
