//! `shopctl jobs history`: what came of attempts lately.

use shop_common::jobs::history::{self, HistoryFilter, PastAttempt};

use super::{list, say_next};
use crate::args::jobs::JobsHistoryArgs;
use crate::exit::Failure;
use crate::output;
use crate::shop::Shop;

/// Lists attempts, newest first.
pub(super) async fn run(args: &JobsHistoryArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let filter = HistoryFilter {
        task: args.kind.map(|kind| kind.task()),
        outcome: args.outcome.map(|outcome| outcome.as_str().to_owned()),
        code: args.code.clone(),
        order: args.order,
        since: args.since,
    };
    let page = history::list(&shop.pool, &filter, args.page.limit, args.page.after.as_deref());
    let (attempts, next) = page.await.map_err(list::failure)?;
    let row = |attempt: &PastAttempt| {
        [
            attempt.at.format("%F %T%.3f").to_string(),
            attempt.kind.clone(),
            attempt.outcome.clone(),
            output::or_dash(attempt.code.as_ref()),
            attempt.order_id.to_string(),
            output::or_dash(attempt.claim),
            attempt.charge_key.clone(),
        ]
    };
    let headers = ["AT (UTC)", "KIND", "OUTCOME", "CODE", "ORDER", "CLAIM", "KEY"];
    output::list(args.shop.output, &attempts, headers, row)?;
    say_next(next);
    Ok(())
}
