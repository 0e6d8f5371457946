//! `shopctl workers`: who does the jobs.

use shop_common::jobs::pause;
use shop_common::jobs::workers::{self, Worker};

use super::pause::since;
use crate::args::{Format, ShopArgs};
use crate::exit::Failure;
use crate::output;
use crate::shop::{Shop, database};

/// Lists the workers, and says so if they are paused.
pub(crate) async fn list(args: &ShopArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.home.dir)?;
    let workers = workers::list(&shop.pool, shop.lease).await.map_err(database)?;
    match args.output {
        Format::Json => output::json(&workers)?,
        Format::Table => {
            let row = |worker: Worker| {
                let time = |at: shop_common::time::Timestamp| at.format("%F %T").to_string();
                let state = if worker.alive {
                    "alive".to_owned()
                } else {
                    format!("silent for {:.0} s", worker.silent_seconds)
                };
                [
                    worker.boot_id.to_string(),
                    worker.host,
                    worker.pid.to_string(),
                    worker.in_hand.to_string(),
                    time(worker.started_at),
                    time(worker.heartbeat_at),
                    state,
                ]
            };
            let headers = ["BOOT ID", "HOST", "PID", "IN HAND", "STARTED (UTC)", "HEARTBEAT (UTC)", "STATE"];
            output::table(headers, workers.into_iter().map(row).collect())?;
        }
    }
    if let Some(pause) = pause::current(&shop.pool).await.map_err(database)? {
        output::note(since(&pause));
    }
    Ok(())
}
