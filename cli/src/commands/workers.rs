//! `shopctl workers`: who does the jobs.

use shop_common::jobs::pause;
use shop_common::jobs::workers::{self, Worker};

use super::jobs::frame::{lateness, state};
use super::jobs::pause::since;
use crate::args::ShopArgs;
use crate::args::jobs::WorkersCommand;
use crate::exit::Failure;
use crate::output;
use crate::shop::{Shop, database};

/// `shopctl workers …`.
pub(crate) async fn run(command: WorkersCommand) -> Result<(), Failure> {
    match command {
        WorkersCommand::List(args) => list(&args).await,
    }
}

/// Lists the workers, and says so if they are paused.
async fn list(args: &ShopArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.home.dir)?;
    let workers = workers::list(&shop.pool, shop.lease).await.map_err(database)?;
    let row = |worker: &Worker| {
        [
            worker.boot_id.to_string(),
            worker.host.clone(),
            worker.pid.to_string(),
            worker.in_hand.to_string(),
            worker.settled.to_string(),
            lateness(worker.start_lateness),
            output::time(&worker.started_at),
            output::time(&worker.heartbeat_at),
            state(worker),
        ]
    };
    let headers =
        ["BOOT ID", "HOST", "PID", "IN HAND", "SETTLED", "BEGUN LATE", "STARTED (UTC)", "HEARTBEAT (UTC)", "STATE"];
    output::list(args.output, &workers, headers, row)?;
    if let Some(pause) = pause::current(&shop.pool).await.map_err(database)? {
        output::note(since(&pause));
    }
    Ok(())
}
