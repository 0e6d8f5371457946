//! Keeps a set of services running and stops them in order.

use std::io;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) use super::keeper::OnSpawn;
use super::keeper::{Context, Keeper, run_to_end};
use super::log::Log;
use super::service::{Kind, Service};
use super::signals::Asked;

/// How long a service may take until it answers for the first time.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Keeps services running.
pub(crate) struct Supervisor {
    context: Arc<Context>,
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    kind: Kind,
    stop: watch::Sender<bool>,
    keeper: JoinHandle<()>,
}

impl Supervisor {
    /// A supervisor that writes to `log`, hurries when asked twice to stop, and
    /// tells `on_spawn` of each process it starts.
    pub(crate) fn new(log: Log, asked: Asked, on_spawn: OnSpawn) -> Self {
        let context = Context { log, asked, on_spawn, lost_one: AtomicBool::new(false) };
        Self { context: Arc::new(context), kept: Mutex::default() }
    }

    /// Where the services' lines go.
    pub(crate) fn log(&self) -> &Log {
        &self.context.log
    }

    /// Starts a service and keeps it running from now on.
    pub(crate) fn start(&self, service: Service) -> Started {
        let (stop, stopped) = watch::channel(false);
        let (ended, has_ended) = watch::channel(None);
        let (kind, name) = (service.kind, service.name.clone());
        let keeper = Keeper { service, context: Arc::clone(&self.context), stop: stopped, ended };
        self.remember(Kept { kind, stop, keeper: tokio::spawn(keeper.keep()) });
        Started { name, ended: has_ended }
    }

    /// Runs a command to its end. It counts as part of a service, and is
    /// stopped with it even if nobody waits for its output any more.
    pub(crate) async fn run(&self, kind: Kind, command: Command) -> io::Result<Output> {
        let (stop, stopped) = watch::channel(false);
        let (sender, output) = oneshot::channel();
        let keeper = tokio::spawn(async move {
            // An error means that nobody waits.
            let _ = sender.send(run_to_end(command, stopped).await);
        });
        self.remember(Kept { kind, stop, keeper });
        output.await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
    }

    fn remember(&self, kept: Kept) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
    }

    /// Whether a service has ever ended by itself.
    pub(crate) fn has_lost_one(&self) -> bool {
        self.context.lost_one.load(Ordering::Relaxed)
    }

    /// Stops everything: apis and workers, then Redis, then PostgreSQL.
    pub(crate) async fn stop(self) {
        let mut kept = self.kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        let stages: [fn(&Kind) -> bool; 3] = [
            |kind| matches!(kind, Kind::Api | Kind::Worker),
            |kind| *kind == Kind::Redis,
            |kind| *kind == Kind::Postgres,
        ];
        for belongs in stages {
            let stage: Vec<Kept> = kept.extract_if(.., |kept| belongs(&kept.kind)).collect();
            for service in &stage {
                service.stop.send_replace(true);
            }
            for service in stage {
                // An error would be a panic of the keeper; its child is killed then.
                let _ = service.keeper.await;
            }
        }
    }
}

/// A service that was started, and may not answer yet.
pub(crate) struct Started {
    name: String,
    ended: watch::Receiver<Option<String>>,
}

impl Started {
    /// Waits until the service answers; fails as soon as it ends instead.
    pub(crate) async fn until<T>(mut self, answers: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        tokio::select! {
            answer = timeout(READY_LIMIT, answers) => {
                answer.map_err(|_| anyhow::anyhow!("{} does not answer within {} s", self.name, READY_LIMIT.as_secs()))?
            }
            Ok(reason) = self.ended.wait_for(Option::is_some) => {
                anyhow::bail!("{} ended before it answered ({})", self.name, reason.as_deref().unwrap_or_default())
            }
        }
    }
}
