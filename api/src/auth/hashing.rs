//! Hashing passwords without starving anything else.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use shop_common::config;
use shop_common::metrics::Exporter;
use tokio::sync::oneshot;

use crate::error::ApiError;

type Work = Box<dyn FnOnce() + Send>;

/// How nice a thread is that hashes: where others want the core, it gets about a tenth of it, so that logins are slow
/// but not stopped.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// A few threads for hashing and a short queue before them. Each hash takes 19 MiB
/// and tens of milliseconds of a core: what does not fit is refused, not piled up.
///
/// The threads are the hasher's own, and always the same. On tokio's blocking pool each
/// hash may run on another thread, and the allocator keeps 19 MiB for every one of them. And they give way to all
/// others (on Linux), so that guessing passwords does not keep anybody from looking at products.
pub(crate) struct Hasher {
    work: SyncSender<Work>,
    /// How many wait for a thread.
    waiting: Arc<AtomicUsize>,
}

impl Hasher {
    /// Starts the threads; they end with the hasher.
    pub(crate) fn new(settings: &config::Auth) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(settings.hash_queue);
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 1..=settings.hash_threads.max(1) {
            let receiver = Arc::clone(&receiver);
            thread::Builder::new().name(format!("hash-{number}")).spawn(move || serve(&receiver))?;
        }
        Ok(Self { work: sender, waiting: Arc::default() })
    }

    /// Has the queue looked at whenever somebody reads the metrics.
    pub(crate) fn show(&self, metrics: &Exporter) {
        let waiting = Arc::clone(&self.waiting);
        metrics.look(move || {
            metrics::gauge!("shop_password_hash_queue_length").set(waiting.load(Ordering::Relaxed) as f64);
        });
    }

    /// Runs work on a thread for hashing. A client that hangs up does not stop it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let (answer, answered) = oneshot::channel();
        let waiting = Arc::clone(&self.waiting);
        let work = Box::new(move || {
            waiting.fetch_sub(1, Ordering::Relaxed);
            let begun = Instant::now();
            let done = work();
            metrics::histogram!("shop_password_hash_duration_seconds").record(begun.elapsed());
            // Nobody may be waiting any more.
            let _ = answer.send(done);
        });
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.work.try_send(work).map_err(|error| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => ApiError::Overloaded,
                TrySendError::Disconnected(_) => ApiError::Internal("no thread hashes".to_owned()),
            }
        })?;
        answered.await.map_err(|_| ApiError::Internal("hashing panicked".to_owned()))
    }
}

/// Takes one piece of work after the other, until the hasher is gone.
fn serve(receiver: &Mutex<Receiver<Work>>) {
    give_way();
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        // A panic loses its own answer, not the thread.
        let _ = catch_unwind(AssertUnwindSafe(work));
    }
}

/// Lets other threads go first. Elsewhere than on Linux that would mean the whole process (setpriority(2)).
#[cfg(target_os = "linux")]
fn give_way() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "hashing has the priority of everything else");
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(hash_threads: usize, hash_queue: usize) -> Hasher {
        Hasher::new(&config::Auth {
            jwt_secret: None,
            issuer: String::new(),
            audience: String::new(),
            token_seconds: 1,
            refresh_seconds: 1,
            session_seconds: 1,
            hash_threads,
            hash_queue,
        })
        .unwrap()
    }

    #[tokio::test]
    async fn work_is_done_by_the_same_threads_and_a_panic_loses_its_own_answer_only() {
        let hasher = hasher(1, 8);
        let first = hasher.run(|| thread::current().id()).await.unwrap();
        assert!(hasher.run(|| assert_eq!(1, 2)).await.is_err());
        assert_eq!(hasher.run(|| thread::current().id()).await.unwrap(), first);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn hashing_gives_way_and_nothing_else_does() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();

        let hashing = hasher(1, 8).run(nice).await.unwrap();

        assert_eq!((hashing, nice()), (NICE.max(before), before));
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_at_once() {
        let hasher = Arc::new(hasher(1, 1));
        let (started, has_started) = oneshot::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let busy = Arc::clone(&hasher);
        let running = tokio::spawn(async move {
            busy.run(move || {
                let _ = started.send(());
                released.recv()
            })
            .await
        });
        has_started.await.unwrap();
        let (queued, waits) = (Arc::clone(&hasher), Arc::clone(&hasher));
        let waiting = tokio::spawn(async move { queued.run(|| 7).await });
        tokio::task::yield_now().await;

        assert!(matches!(waits.run(|| 8).await, Err(ApiError::Overloaded)));

        release.send(()).unwrap();
        running.await.unwrap().unwrap().unwrap();
        assert_eq!(waiting.await.unwrap().unwrap(), 7);
    }
}
