//! Sessions: open sockets of `/ws` as tasks of their own. (Those of Socket.IO are its server's.)
//!
//! Rocket keeps a request and all that belongs to it for as long as the handler of its upgrade runs: more than ten
//! kilobytes for each open socket. So that handler only starts a session and returns, and waiting for sessions at
//! shutdown is up to us.

use std::time::Duration;

use rocket::fairing::AdHoc;
use tokio_util::task::TaskTracker;

/// How long open sockets may take to say goodbye at shutdown.
const GOODBYE: Duration = Duration::from_secs(2);

/// All sessions of `/ws` in this process. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Sessions(TaskTracker);

impl Sessions {
    /// Runs a session until it ends.
    pub(super) fn start(&self, session: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(session);
    }
}

/// Waits at shutdown until the sessions have ended, which they do by themselves then.
pub(crate) fn goodbye(sessions: Sessions) -> AdHoc {
    AdHoc::on_shutdown("Sessions", |_| {
        Box::pin(async move {
            sessions.0.close();
            if tokio::time::timeout(GOODBYE, sessions.0.wait()).await.is_err() {
                tracing::warn!(sockets = sessions.0.len(), "sockets that did not close were cut off");
            }
        })
    })
}
