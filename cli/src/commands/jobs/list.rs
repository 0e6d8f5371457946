//! `shopctl jobs list`: jobs, page by page.

use shop_common::jobs::list::{self, ListError, ListedJob, Listing};

use super::say_next;
use crate::args::jobs::JobsListArgs;
use crate::exit::{Exit, Failure};
use crate::shop::{Shop, database};
use crate::{output, paging};

/// Lists jobs.
pub(super) async fn run(args: &JobsListArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let listing = Listing { filter: args.filter.filter(), needs_operator: args.needs_operator, sort: args.sort.sort() };
    let (jobs, next) =
        list::list(&shop.pool, &listing, args.page.limit, args.page.after.as_deref()).await.map_err(failure)?;
    let row = |ListedJob { job, order_status }: &ListedJob| {
        [
            job.id.to_string(),
            job.kind.clone(),
            job.state.as_str().to_owned(),
            job.run_at.format("%F %T%.3f").to_string(),
            output::time(&job.updated_at),
            job.attempts.to_string(),
            job.order_id.to_string(),
            order_status.as_str().to_owned(),
            output::or_dash(job.last_error.as_ref()),
        ]
    };
    let headers =
        ["ID", "KIND", "STATE", "RUN AT (UTC)", "CHANGED (UTC)", "ATTEMPTS", "ORDER", "ORDER IS", "LAST ERROR"];
    output::list(args.shop.output, &jobs, headers, row)?;
    say_next(next);
    Ok(())
}

/// What keeps a list from being given.
pub(super) fn failure(error: ListError) -> Failure {
    match error {
        ListError::Cursor(error) => Failure::new(Exit::Usage, format!("--after: {error}")).next(paging::BEGIN_AGAIN),
        ListError::Database(error) => database(error),
    }
}
