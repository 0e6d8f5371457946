//! `shopctl jobs stats`: how many jobs there are, how late they are, and who does them.

use shop_common::jobs::stats::{self, Stats};

use super::frame;
use crate::args::ShopArgs;
use crate::exit::Failure;
use crate::output;
use crate::shop::{Shop, database};

/// Counts all jobs.
pub(super) async fn run(args: &ShopArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.home.dir)?;
    let stats = stats::stats(&shop.pool, shop.lease).await.map_err(database)?;
    output::one(args.output, &stats, |stats: &Stats| output::data(frame::stats(stats)))?;
    Ok(())
}
