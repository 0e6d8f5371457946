//! `stack.json`: what runs in a folder right now, for every other command.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::files;
use super::process::ProcessId;
use super::service::Kind;
use super::supervisor::OnSpawn;
use crate::output;

/// How long servers of a supervisor that was killed may take to end.
const LEFTOVER_LIMIT: Duration = Duration::from_secs(15);

/// A running shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StackState {
    /// The process that keeps it all running.
    pub(crate) supervisor: ProcessId,
    /// Whether everything has answered once.
    pub(crate) ready: bool,
    pub(crate) base_url: String,
    pub(crate) database_url: String,
    pub(crate) redis_url: String,
    /// Where its workers reach the gateway; `None` where that is built in.
    #[serde(default)]
    pub(crate) gateway_url: Option<String>,
    /// A product that can be ordered.
    pub(crate) sample_product: Option<String>,
    pub(crate) services: Vec<ServiceState>,
}

/// One service of a running shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServiceState {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// `None` before its first start, and for a server that is not ours.
    pub(crate) process: Option<ProcessId>,
    /// `host:port`; `None` for a given server that is reached otherwise.
    pub(crate) address: Option<String>,
}

impl StackState {
    /// The process number of the supervisor.
    pub(crate) fn pid(&self) -> u32 {
        self.supervisor.pid
    }

    /// The process numbers of all services of one kind.
    pub(crate) fn pids(&self, kind: Kind) -> Vec<u32> {
        let of_kind = self.services.iter().filter(|service| service.kind == kind);
        of_kind.filter_map(|service| service.process).map(|process| process.pid).collect()
    }
}

/// The shop that runs in this folder, if one does.
pub(crate) fn find_running(dir: &Path) -> Option<StackState> {
    read(&path(dir)).filter(|state| state.supervisor.is_alive())
}

/// Clears up after a supervisor that was killed. Its servers were told by the
/// kernel to stop; they are waited for, since they still hold ports and data.
pub(crate) async fn clear_stale(dir: &Path) -> anyhow::Result<()> {
    let path = path(dir);
    let Some(state) = read(&path) else { return Ok(()) };
    for service in &state.services {
        let Some(process) = service.process else { continue };
        // Without a start time a number alone does not say whose it is.
        if !process.is_certain() {
            continue;
        }
        process.signal(service.kind.stop_signal()).with_context(|| format!("cannot stop {}", service.name))?;
        anyhow::ensure!(
            process.gone(LEFTOVER_LIMIT).await,
            "{} of the shop that ran here before (pid {}) does not end",
            service.name,
            process.pid
        );
    }
    Ok(files::remove_if_there(&path)?)
}

/// A file that cannot be understood counts as none: it only says what runs.
fn read(path: &Path) -> Option<StackState> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

fn path(dir: &Path) -> PathBuf {
    dir.join("stack.json")
}

/// Writes every change of a shop's state to its file.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    path: Arc<Path>,
    state: Arc<Mutex<StackState>>,
}

impl Board {
    /// Puts up the state of a shop that begins to run.
    pub(crate) fn new(dir: &Path, state: StackState) -> anyhow::Result<Self> {
        let path = path(dir);
        write(&path, &state)?;
        Ok(Self { path: path.into(), state: Arc::new(Mutex::new(state)) })
    }

    /// Changes the state, and the file with it.
    pub(crate) fn update(&self, change: impl FnOnce(&mut StackState)) -> anyhow::Result<StackState> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        write(&self.path, &state)?;
        Ok(state.clone())
    }

    /// Notes each process that a supervisor starts.
    pub(crate) fn recorder(&self) -> OnSpawn {
        let board = self.clone();
        Box::new(move |name, pid| {
            let noted = board.update(|state| {
                let named = state.services.iter_mut().filter(|service| service.name == name);
                named.for_each(|service| service.process = Some(ProcessId::of(pid)));
            });
            if let Err(error) = noted {
                output::note(format!("note: {error:#}"));
            }
        })
    }

    /// Takes the state down: nothing runs any more.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        Ok(files::remove_if_there(&self.path)?)
    }
}

fn write(path: &Path, state: &StackState) -> anyhow::Result<()> {
    let text = serde_json::to_vec_pretty(state)?;
    files::write_private(path, &text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn state(supervisor: u32) -> StackState {
        let service = |name: &str, kind| ServiceState {
            name: name.to_owned(),
            kind,
            process: None,
            address: Some("127.0.0.1:1".to_owned()),
        };
        StackState {
            supervisor: ProcessId::of(supervisor),
            ready: false,
            base_url: "http://127.0.0.1:3000".to_owned(),
            database_url: "postgres://db/shop".to_owned(),
            redis_url: "redis://db".to_owned(),
            gateway_url: None,
            sample_product: None,
            services: vec![service("redis", Kind::Redis), service("api-1", Kind::Api)],
        }
    }

    #[test]
    fn a_running_shop_is_found_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let written = state(std::process::id());
        let board = Board::new(dir.path(), written.clone()).unwrap();
        assert_eq!(find_running(dir.path()), Some(written));
        let mode = std::fs::metadata(path(dir.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        board.recorder()("api-1", 42);
        let found = find_running(dir.path()).unwrap();
        assert_eq!((found.pids(Kind::Api), found.pids(Kind::Redis)), (vec![42], vec![]));

        board.remove().unwrap();
        assert_eq!(find_running(dir.path()), None);
    }

    #[tokio::test]
    async fn a_stale_file_is_cleared_silently() {
        let dir = tempfile::tempdir().unwrap();
        Board::new(dir.path(), state(0)).unwrap();
        assert_eq!(find_running(dir.path()), None);
        clear_stale(dir.path()).await.unwrap();
        assert!(!path(dir.path()).exists());
    }
}
