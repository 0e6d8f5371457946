//! All sockets of a run: a task each, opened some at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use shop_bench_kit::signer::Signer;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::books::Customer;
use crate::client::{self, Heard};
use crate::wire::Wire;

/// How exactly the end of a feed is noticed.
const LOOK: Duration = Duration::from_millis(20);

/// Sockets that listen, one for each customer and in their order.
pub(crate) struct Audience {
    arrived: Arc<AtomicUsize>,
    stop: CancellationToken,
    listeners: Vec<JoinHandle<Heard>>,
}

impl Audience {
    /// Opens a socket for each customer, so many at the same time.
    pub(crate) async fn gather(
        wire: Wire,
        port: u16,
        customers: &[Customer],
        signer: &Signer,
        at_once: usize,
    ) -> anyhow::Result<Self> {
        let (arrived, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let listeners = stream::iter(customers)
            .map(|customer| {
                let (arrived, stop, token) = (Arc::clone(&arrived), stop.clone(), signer.token(customer.user));
                async move {
                    let socket = client::open(wire, port, &token?).await?;
                    anyhow::Ok(tokio::spawn(client::listen(socket, wire, arrived, stop)))
                }
            })
            .buffered(at_once)
            .try_collect()
            .await?;
        Ok(Self { arrived, stop, listeners })
    }

    /// Waits until so many changes have been heard in all, but not for ever.
    pub(crate) async fn wait_for(&self, changes: usize, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.arrived.load(Ordering::Relaxed) < changes && Instant::now() < deadline {
            sleep(LOOK).await;
        }
    }

    /// Closes all sockets; gives what each of them has heard.
    pub(crate) async fn leave(self) -> anyhow::Result<Vec<Heard>> {
        self.stop.cancel();
        let mut heard = Vec::with_capacity(self.listeners.len());
        for listener in self.listeners {
            heard.push(listener.await.context("a socket's task failed")?);
        }
        Ok(heard)
    }
}
