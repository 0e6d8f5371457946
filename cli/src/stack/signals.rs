//! Hears when the operator asks to stop.

use std::io;

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often, and lastly with which signal, we were asked to stop.
#[derive(Debug, Clone)]
pub(crate) struct Asked(watch::Receiver<(u32, Option<Signal>)>);

impl Asked {
    /// Listens from now on, instead of dying of these signals: Ctrl-C, the
    /// usual stop signal, and the one of a terminal that was closed.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let (sender, receiver) = watch::channel((0, None));
        tokio::spawn(async move {
            loop {
                let heard = tokio::select! {
                    _ = interrupt.recv() => Signal::SIGINT,
                    _ = terminate.recv() => Signal::SIGTERM,
                    _ = hangup.recv() => Signal::SIGHUP,
                };
                sender.send_modify(|(times, last)| (*times, *last) = (*times + 1, Some(heard)));
            }
        });
        Ok(Self(receiver))
    }

    /// Whether we were asked to stop.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.borrow().0 > 0
    }

    /// Waits until we are asked to stop.
    pub(crate) async fn to_stop(&self) {
        self.times(1).await;
    }

    /// Waits until we are asked a second time.
    pub(crate) async fn to_hasten(&self) {
        self.times(2).await;
    }

    /// Waits for the next signal that was not seen here before.
    pub(crate) async fn next(&mut self) -> Signal {
        loop {
            if self.0.changed().await.is_err() {
                // The listener lives as long as the process does.
                std::future::pending::<()>().await;
            }
            if let Some(signal) = self.0.borrow_and_update().1 {
                return signal;
            }
        }
    }

    async fn times(&self, wanted: u32) {
        if self.0.clone().wait_for(|(times, _)| *times >= wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
