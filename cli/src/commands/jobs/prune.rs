//! `shopctl jobs prune`: finished jobs that are old are deleted.

use std::time::Duration;

use serde::Serialize;
use shop_common::db::Ending;
use shop_common::jobs::prune;
use utoipa::ToSchema;

use super::progress;
use super::span;
use crate::args::jobs::JobsPruneArgs;
use crate::ask;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};
use crate::stack::signals::Asked;

/// What ended a moment ago, a worker may still ask for whose answer got lost.
const YOUNGEST: Duration = Duration::from_secs(3600);

/// What was deleted, or would be.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PruneReport {
    /// Jobs that were old enough.
    matched: u64,
    /// Of those, how many are deleted.
    jobs: u64,
    /// What came of their attempts: so many are deleted with them.
    attempts: u64,
    dry_run: bool,
}

/// Deletes them, page by page.
pub(super) async fn run(args: &JobsPruneArgs) -> Result<(), Failure> {
    let filter = args.filter.filter();
    // The command line has seen to it that there is an age.
    let age = filter.older_than.unwrap_or_default();
    if age < YOUNGEST {
        return Err(Failure::new(Exit::Refused, "jobs that ended less than 1h ago are not deleted")
            .next("say --older-than 1h or more"));
    }
    let shop = Shop::find(&args.shop.home.dir)?;
    let ended_before = prune::before(&shop.pool, age).await.map_err(database)?;
    let matched = prune::count(&shop.pool, &filter, ended_before).await.map_err(database)?;
    let mut report = PruneReport { matched, jobs: 0, attempts: 0, dry_run: args.consent.dry_run };
    if matched == 0 {
        output::note("there is nothing to delete");
        return print(args, &report);
    }
    let deed = format!(
        "This deletes {matched} jobs that ended more than {} ago, and what came of their attempts.",
        span(age.as_secs_f64())
    );
    if ask::consent(&shop.pool, &args.consent, &deed).await? == Ending::DryRun {
        return print(args, &report);
    }
    let bar = progress::counted("jobs", matched);
    let stop = Asked::listen()?;
    let mut after = None;
    let ended = loop {
        if stop.is_asked() {
            break Err(Failure::new(Exit::Stopped, "stopped; what is deleted stays deleted")
                .next("give the command again, and it goes on with the rest"));
        }
        match prune::prune_page(&shop.pool, &filter, ended_before, after).await {
            Ok(page) => {
                report.jobs += page.jobs;
                report.attempts += page.attempts;
                bar.inc(page.jobs);
                after = page.next;
                if after.is_none() {
                    break Ok(());
                }
            }
            Err(error) => break Err(database(error)),
        }
    };
    bar.finish_and_clear();
    output::note(format!("{} of {matched} jobs and {} attempts are deleted", report.jobs, report.attempts));
    print(args, &report)?;
    ended
}

/// For people, the notes have said it.
fn print(args: &JobsPruneArgs, report: &PruneReport) -> Result<(), Failure> {
    Ok(output::one(args.shop.output, report, |_| Ok(()))?)
}
