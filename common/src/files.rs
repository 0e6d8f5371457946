//! Open files: as many as the system lets a process have. Each socket is one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the limit of this process from the usual one, which is often 1,024, to the highest that it may set itself.
pub fn allow_many() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, highest)| setrlimit(Resource::RLIMIT_NOFILE, highest, highest));
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}
