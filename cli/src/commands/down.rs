//! `shopctl down`: stops the shop that runs in a folder.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::args::stack::DownArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::stack::state::find_running;

/// Longer than the shop takes in the worst case to stop in good order.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks the shop to stop and waits until it has.
pub(crate) async fn run(args: &DownArgs) -> Result<(), Failure> {
    let dir = args.home.dir.display();
    let Some(state) = find_running(&args.home.dir) else {
        output::note(format!("no shop runs in {dir}"));
        return Ok(());
    };
    let pid = state.pid();
    state.supervisor.signal(Signal::SIGTERM)?;
    if !state.supervisor.gone(LIMIT).await {
        let limit = LIMIT.as_secs();
        return Err(Failure::new(Exit::Failed, format!("the shop in {dir} (pid {pid}) still runs after {limit} s"))
            .next("ask again with `shopctl down`, which hastens it"));
    }
    output::note(format!("the shop in {dir} (pid {pid}) has stopped"));
    Ok(())
}
