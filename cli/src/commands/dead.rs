//! `shopctl jobs dead`: jobs that have stopped in the middle, and what becomes of them.

use serde::Serialize;
use shop_common::db::Ending;
use shop_common::id::JobId;
use shop_common::jobs::dead::{self, Chosen, DeadJob, Purpose, ReviveError, Which};
use utoipa::ToSchema;

use crate::args::Format;
use crate::args::jobs::{ChosenArgs, DeadDiscardArgs, DeadListArgs, DeadRetryArgs};
use crate::ask;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// Lists dead jobs, newest first.
pub(crate) async fn list(args: &DeadListArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let which = if args.all { Which::All } else { Which::NeedOperator };
    let jobs = dead::list(&shop.pool, which, args.limit).await.map_err(database)?;
    let row = |DeadJob { job, order_status }: &DeadJob| {
        [
            job.id.to_string(),
            output::time(&job.updated_at),
            job.order_id.to_string(),
            order_status.as_str().to_owned(),
            output::or_dash(job.last_error.as_ref()),
        ]
    };
    output::list(args.shop.output, &jobs, ["ID", "DIED (UTC)", "ORDER", "STATUS", "LAST ERROR"], row)?;
    Ok(())
}

/// Schedules dead jobs again.
pub(crate) async fn retry(args: &DeadRetryArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let (jobs, ended) = revive(&shop, &chosen(&args.chosen), Purpose::Retry, Ending::Commit).await;
    if ended.is_ok() || !jobs.is_empty() {
        output::note(format!("{} jobs are scheduled again", jobs.len()));
        print(args.shop.output, &jobs, Ending::Commit)?;
    }
    ended
}

/// Gives the orders of dead jobs up.
pub(crate) async fn discard(args: &DeadDiscardArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let (chosen, purpose) = (chosen(&args.chosen), Purpose::GiveUp(&args.reason));
    let (would, ended) = revive(&shop, &chosen, purpose, Ending::DryRun).await;
    ended?;
    if would.is_empty() {
        output::note("there is nothing to give up");
        return print(args.shop.output, &would, Ending::DryRun);
    }
    let deed = format!("This gives {} orders up: their payments are voided.", would.len());
    if ask::consent(&shop.pool, &args.consent, &deed).await? == Ending::DryRun {
        return print(args.shop.output, &would, Ending::DryRun);
    }
    let (jobs, ended) = revive(&shop, &chosen, purpose, Ending::Commit).await;
    if ended.is_ok() || !jobs.is_empty() {
        output::note(format!("{} orders are given up; the workers void their payments", jobs.len()));
        print(args.shop.output, &jobs, Ending::Commit)?;
    }
    ended
}

fn chosen(args: &ChosenArgs) -> Chosen {
    if args.all { Chosen::All } else { Chosen::These(args.jobs.clone()) }
}

/// What was done, and whether that is all: of very many jobs some may be brought back before the database refuses.
async fn revive(
    shop: &Shop,
    chosen: &Chosen,
    purpose: Purpose<'_>,
    ending: Ending,
) -> (Vec<JobId>, Result<(), Failure>) {
    let mut jobs = Vec::new();
    let ended = dead::revive(&shop.pool, chosen, purpose, ending, &mut jobs).await;
    if ending == Ending::Commit && !jobs.is_empty() {
        shop.enqueue(&jobs).await;
    }
    let nothing = if jobs.is_empty() { "; nothing was done" } else { "" };
    (jobs, ended.map_err(|error| failure(error, nothing)))
}

/// The jobs that a command has touched, or would have.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Touched<'a> {
    jobs: &'a [JobId],
    dry_run: bool,
}

fn print(format: Format, jobs: &[JobId], ending: Ending) -> Result<(), Failure> {
    output::one(format, &Touched { jobs, dry_run: ending == Ending::DryRun }, |touched| {
        output::table(["ID"], touched.jobs.iter().map(|job| [job.to_string()]).collect())
    })?;
    Ok(())
}

fn failure(error: ReviveError, nothing: &str) -> Failure {
    match error {
        ReviveError::Unknown(_) => Failure::new(Exit::NotFound, error),
        ReviveError::NotDead { .. }
        | ReviveError::OrderEnded { .. }
        | ReviveError::Refund(_)
        | ReviveError::TwoLive => Failure::new(Exit::Conflict, format!("{error}{nothing}"))
            .next("`shopctl jobs dead list` shows those that can be retried or discarded"),
        ReviveError::Database(error) => database(error),
    }
}
