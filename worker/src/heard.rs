//! When PostgreSQL has heard this worker's heartbeat last.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The last heartbeat that was heard, if any was.
#[derive(Default)]
pub struct Heard(Mutex<Option<Instant>>);

impl Heard {
    /// It was heard just now, or a little earlier: when it was sent.
    pub fn note(&self, sent: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sent);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        metrics::gauge!("shop_worker_heartbeat_timestamp_seconds").set(now.as_secs_f64());
    }

    /// How long ago that was.
    pub fn age(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|sent| sent.elapsed())
    }
}
