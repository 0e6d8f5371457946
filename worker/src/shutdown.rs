//! Going down in order: stop claiming, finish what is in hand, release the rest.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::runner::Runner;

/// Waits for SIGTERM or Ctrl-C, and names it.
pub(crate) async fn requested() -> &'static str {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminated => "SIGTERM",
        _ = tokio::signal::ctrl_c() => "SIGINT",
    }
}

/// Lets what is in hand end within the grace, or until a second signal; then releases what is left.
pub(crate) async fn drain(runner: &Runner, grace: Duration) {
    let finished = tokio::select! {
        finished = timeout(grace, runner.finish()) => finished.is_ok(),
        _ = requested() => false,
    };
    if !finished {
        runner.abandon().await;
    }
}
