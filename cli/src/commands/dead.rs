//! `shopctl jobs dead`: jobs that have stopped in the middle, and what becomes of them.

use serde_json::json;
use shop_common::db::Ending;
use shop_common::id::JobId;
use shop_common::jobs::dead::{self, Chosen, DeadJob, Purpose, ReviveError, Which};

use crate::args::{ChosenArgs, DeadDiscardArgs, DeadListArgs, DeadRetryArgs, Format};
use crate::ask;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// Lists dead jobs, newest first.
pub(crate) async fn list(args: &DeadListArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let which = if args.all { Which::All } else { Which::NeedOperator };
    let jobs = dead::list(&shop.pool, which, args.limit).await.map_err(database)?;
    match args.shop.output {
        Format::Json => output::json(&jobs)?,
        Format::Table => {
            let row = |DeadJob { job, order_status }: DeadJob| {
                let died = job.updated_at.format("%F %T").to_string();
                let error = job.last_error.unwrap_or_else(|| "-".to_owned());
                [job.id.to_string(), died, job.order_id.to_string(), order_status.as_str().to_owned(), error]
            };
            let headers = ["ID", "DIED (UTC)", "ORDER", "STATUS", "LAST ERROR"];
            output::table(headers, jobs.into_iter().map(row).collect())?;
        }
    }
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
    if args.dry_run || would.is_empty() {
        output::note(format!("{} orders would be given up; nothing was done", would.len()));
        return print(args.shop.output, &would, Ending::DryRun);
    }
    let question = format!("This gives {} orders up: their payments are voided. Go on?", would.len());
    ask::confirm(&question, args.yes)?;
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

fn print(format: Format, jobs: &[JobId], ending: Ending) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(&json!({ "jobs": jobs, "dryRun": ending == Ending::DryRun }))?,
        Format::Table => output::table(["ID"], jobs.iter().map(|job| [job.to_string()]).collect())?,
    }
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
