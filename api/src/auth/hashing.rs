//! Hashing passwords without starving anything else.

use std::sync::Arc;

use shop_common::config;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::error::ApiError;

/// A few threads for hashing and a short queue before them. Each hash takes 19 MiB
/// and tens of milliseconds of a core: what does not fit is refused, not piled up.
pub(crate) struct Hasher {
    threads: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Hasher {
    pub(crate) fn new(settings: &config::Auth) -> Self {
        let threads = settings.hash_threads.max(1);
        Self {
            threads: Arc::new(Semaphore::new(threads)),
            places: Arc::new(Semaphore::new(threads + settings.hash_queue)),
        }
    }

    /// Runs work on a thread for hashing.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| ApiError::Overloaded)?;
        let thread = Arc::clone(&self.threads).acquire_owned().await.map_err(|_| ApiError::Overloaded)?;
        // The permits go with the work: a client that hangs up frees no thread that still hashes.
        let done = spawn_blocking(move || {
            let _permits = (place, thread);
            work()
        });
        done.await.map_err(|error| ApiError::Internal(error.to_string()))
    }
}
