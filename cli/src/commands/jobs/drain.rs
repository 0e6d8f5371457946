//! `shopctl jobs drain`: waits until nothing is due and nothing is in hand.

use std::time::Duration;

use serde::Serialize;
use shop_common::jobs::stats::{self, Remaining};
use shop_common::jobs::{pause as pausing, workers};
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;

use super::{pause, progress, span};
use crate::args::jobs::JobsDrainArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What was left when the waiting was over.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Drained {
    /// Whether all is done that was waited for.
    drained: bool,
    #[serde(flatten)]
    remaining: Remaining,
    waited_seconds: f64,
}

/// Waits.
pub(super) async fn run(args: &JobsDrainArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let paused = pausing::current(&shop.pool).await.map_err(database)?;
    if let (Some(pause), false) = (&paused, args.in_hand) {
        return Err(Failure::new(Exit::Conflict, format!("{}: nothing that is due moves", pause::since(pause)))
            .next("say --in-hand to wait only for what workers have in hand, or `shopctl jobs resume` first"));
    }
    if args.in_hand && paused.is_none() {
        output::note("claiming goes on, so workers take more in hand; `shopctl jobs pause` stops that");
    }
    if !workers::any_alive(&shop.pool, shop.lease).await.map_err(database)? {
        output::note("no worker is alive: nothing moves until one is started");
    }
    let began = Instant::now();
    let bar = progress::waiting();
    let (drained, remaining) = loop {
        let remaining = stats::remaining(&shop.pool).await.map_err(database)?;
        let Remaining { due, running, .. } = remaining;
        let drained = running == 0 && (args.in_hand || due == 0);
        if drained || began.elapsed() >= args.timeout {
            break (drained, remaining);
        }
        bar.set_message(format!("{due} jobs due, {running} in hand"));
        sleep(LOOK_EVERY).await;
    };
    bar.finish_and_clear();
    let Remaining { due, running, later } = remaining;
    let report = Drained { drained, remaining, waited_seconds: began.elapsed().as_secs_f64() };
    output::one(args.shop.output, &report, |report| {
        output::data(format!(
            "{due} due, {running} in hand, {later} scheduled for later, after {}",
            span(report.waited_seconds)
        ))
    })?;
    if drained {
        return Ok(());
    }
    Err(Failure::new(Exit::Conflict, format!("not drained: {due} jobs are due and {running} in hand"))
        .next("wait longer with --timeout, or look with `shopctl jobs top` at what holds them up"))
}
