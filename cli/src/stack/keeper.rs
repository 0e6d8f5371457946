//! Keeps one service running until it is told to stop.

use std::io;
use std::pin::pin;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::log::Log;
use super::service::Service;
use super::signals::Asked;

/// How long a service may take to stop in good order.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// How long one may take that is forced to.
const FORCE_LIMIT: Duration = Duration::from_secs(5);

/// How long the last lines of a service that has ended may take; children of
/// its own can hold the pipe open after it.
const LAST_LINES_LIMIT: Duration = Duration::from_millis(500);

/// Told the name and the process number of each service that is started.
pub(crate) type OnSpawn = Box<dyn Fn(&str, u32) + Send + Sync>;

/// What all keepers share.
pub(crate) struct Context {
    pub(crate) log: Log,
    pub(crate) asked: Asked,
    pub(crate) on_spawn: OnSpawn,
    /// Whether a service has ever ended by itself.
    pub(crate) lost_one: AtomicBool,
}

/// Keeps one service running.
pub(crate) struct Keeper {
    pub(crate) service: Service,
    pub(crate) context: Arc<Context>,
    /// Turns true when the service shall stop.
    pub(crate) stop: watch::Receiver<bool>,
    /// Says how the service last ended by itself.
    pub(crate) ended: watch::Sender<Option<String>>,
}

impl Keeper {
    /// Starts the service, and starts it again whenever it ends by itself.
    pub(crate) async fn keep(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let begun = Instant::now();
            let Some(reason) = self.run_once().await else { return };
            self.context.log.say(format!("{} ended by itself: {reason}", self.service.name));
            self.context.lost_one.store(true, Ordering::Relaxed);
            self.ended.send_replace(Some(reason));
            let pause = backoff.after(begun.elapsed());
            tokio::select! {
                () = sleep(pause) => self.context.log.say(format!("starting {} again", self.service.name)),
                () = told_to_stop(&mut self.stop) => return,
            }
        }
    }

    /// Runs the service until it ends by itself, which gives the reason, or is
    /// told to stop.
    async fn run_once(&mut self) -> Option<String> {
        let (mut child, output) = match self.service.spawn() {
            Ok(started) => started,
            Err(error) => return Some(format!("cannot run {}: {error}", self.service.program.display())),
        };
        if let Some(pid) = child.id() {
            (self.context.on_spawn)(&self.service.name, pid);
        }
        let lines = tokio::spawn(self.context.log.clone().copy(self.service.name.clone(), output));
        let reason = tokio::select! {
            status = child.wait() => Some(status.map_or_else(|error| error.to_string(), |status| status.to_string())),
            () = told_to_stop(&mut self.stop) => {
                self.stop_child(&mut child).await;
                None
            }
        };
        let _ = timeout(LAST_LINES_LIMIT, lines).await;
        reason
    }

    async fn stop_child(&self, child: &mut Child) {
        signal(child, self.service.stop);
        tokio::select! {
            _ = child.wait() => return,
            () = self.context.asked.to_hasten() => {}
            () = sleep(STOP_LIMIT) => {
                self.context.log.say(format!("{} does not stop and is forced to", self.service.name));
            }
        }
        signal(child, self.service.kind.force_signal());
        if timeout(FORCE_LIMIT, child.wait()).await.is_err() {
            // Also waits; an error means that it has ended in the meantime.
            let _ = child.kill().await;
        }
    }
}

/// Runs a command to its end, or until it is told to stop: then it is stopped
/// together with its own children, and waited for all the same.
pub(crate) async fn run_to_end(mut command: Command, mut stop: watch::Receiver<bool>) -> io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn()?;
    let group = number(&child);
    let mut output = pin!(child.wait_with_output());
    tokio::select! {
        output = &mut output => return output,
        () = told_to_stop(&mut stop) => {}
    }
    if let Some(group) = group {
        // An error means that it has ended in the meantime.
        let _ = killpg(group, Signal::SIGTERM);
    }
    output.await
}

async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody is left to tell us: stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = number(child) {
        // An error means that it has ended in the meantime.
        let _ = kill(pid, signal);
    }
}

/// The number of a child that was not waited for yet, and so is its own.
fn number(child: &Child) -> Option<Pid> {
    child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw)
}

/// The pause before a service is started again: 1 s, doubling to 30 s.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A service that ran well for a while starts over with a short pause.
    fn after(&mut self, ran: Duration) -> Duration {
        const CAP: Duration = Duration::from_secs(30);
        if ran > CAP {
            self.failures = 0;
        }
        let pause = Duration::from_secs(1 << self.failures.min(5)).min(CAP);
        self.failures += 1;
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_30_seconds_and_start_over_after_a_good_run() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..7).map(|_| backoff.after(Duration::ZERO).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(backoff.after(Duration::from_secs(31)).as_secs(), 1);
    }
}
