//! `shopctl jobs retry`, `run-now` and `cancel`: what is done to jobs, to those that are named or to all that match.

use serde::Serialize;
use shop_common::db::Ending;
use shop_common::id::JobId;
use shop_common::jobs::act::{self, ActError, Group, PAGE, Selection, Verb};
use shop_common::jobs::filter::JobFilter;
use shop_common::jobs::pause as pausing;
use utoipa::ToSchema;

use super::pause;
use super::progress;
use crate::args::Format;
use crate::args::jobs::JobsActArgs;
use crate::ask;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};
use crate::stack::signals::Asked;

/// Jobs whose ids are printed, at most; all are counted.
const SHOWN: usize = 1000;

/// The jobs that a command has touched, or would have.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Touched<'a> {
    /// Jobs that were named, or that matched.
    matched: usize,
    /// Of those, how many it was done to. The others have moved meanwhile, or it was stopped.
    done: usize,
    /// Those that matched by kind and state; not where they were named.
    groups: &'a [Group],
    /// The first thousand of those that it was done to, or would be.
    jobs: &'a [JobId],
    dry_run: bool,
}

/// Does it.
pub(super) async fn run(args: &JobsActArgs, verb: Verb<'_>) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    if args.chosen.all { to_all(&shop, args, verb).await } else { to_these(&shop, args, verb).await }
}

async fn to_these(shop: &Shop, args: &JobsActArgs, verb: Verb<'_>) -> Result<(), Failure> {
    let jobs = &args.chosen.jobs;
    let act = async |ending| act::act_on_all_of(&shop.pool, verb, jobs, ending).await.map_err(failure);
    let ending = match verb {
        // To give an order up cannot be undone.
        Verb::Cancel(_) => {
            act(Ending::DryRun).await?;
            ask::consent(&shop.pool, &args.consent, &deed(verb, jobs.len(), &[])).await?
        }
        Verb::Retry | Verb::RunNow if args.consent.dry_run => Ending::DryRun,
        Verb::Retry | Verb::RunNow => Ending::Commit,
    };
    let touched = act(ending).await?;
    let done = if ending == Ending::Commit { touched.len() } else { 0 };
    if ending == Ending::Commit {
        shop.enqueue(&touched).await;
        report(shop, verb, done).await;
    }
    print(
        args.shop.output,
        &Touched { matched: jobs.len(), done, groups: &[], jobs: &touched, dry_run: ending == Ending::DryRun },
    )
}

async fn to_all(shop: &Shop, args: &JobsActArgs, verb: Verb<'_>) -> Result<(), Failure> {
    let filter = args.chosen.filter.filter();
    let Selection { jobs, groups } = act::select(&shop.pool, verb, &filter).await.map_err(database)?;
    let matched = jobs.len();
    let touched = |done, jobs, dry_run| Touched { matched, done, groups: &groups, jobs, dry_run };
    let first = |jobs: &[JobId]| jobs.get(..SHOWN).unwrap_or(jobs).to_vec();
    if jobs.is_empty() {
        output::note("there is nothing to do");
        return print(args.shop.output, &touched(0, &[], args.consent.dry_run));
    }
    if ask::consent(&shop.pool, &args.consent, &deed(verb, matched, &groups)).await? == Ending::DryRun {
        return print(args.shop.output, &touched(0, &first(&jobs), true));
    }
    let mut done = Vec::new();
    let ended = page_by_page(shop, verb, &filter, &jobs, &mut done).await;
    report(shop, verb, done.len()).await;
    print(args.shop.output, &touched(done.len(), &first(&done), false))?;
    ended
}

/// Does it page by page. What is done stays done, and is in `done`, also when it does not come to the end.
async fn page_by_page(
    shop: &Shop,
    verb: Verb<'_>,
    filter: &JobFilter,
    jobs: &[JobId],
    done: &mut Vec<JobId>,
) -> Result<(), Failure> {
    let bar = progress::counted("jobs", jobs.len() as u64);
    let stop = Asked::listen()?;
    let mut redis_hears = true;
    for page in jobs.chunks(PAGE) {
        if stop.is_asked() {
            bar.finish_and_clear();
            return Err(Failure::new(
                Exit::Stopped,
                format!("stopped: {} of {} jobs are done", done.len(), jobs.len()),
            )
            .next("give the command again, and it goes on with the rest"));
        }
        let touched = act::act(&shop.pool, verb, filter, page).await.map_err(|error| {
            bar.finish_and_clear();
            output::note(format!("{} of {} jobs are done, and stay so", done.len(), jobs.len()));
            database(error)
        })?;
        if redis_hears {
            redis_hears = shop.enqueue(&touched).await;
        }
        done.extend(touched);
        bar.inc(page.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

/// What is going to be done.
fn deed(verb: Verb<'_>, jobs: usize, groups: &[Group]) -> String {
    let which = match groups {
        [] => String::new(),
        groups => {
            let group = |group: &Group| format!("{} {} {}", group.jobs, group.state.as_str(), group.kind);
            format!(" ({})", groups.iter().map(group).collect::<Vec<_>>().join(", "))
        }
    };
    match verb {
        Verb::Retry => format!("This schedules {jobs} dead jobs again{which}."),
        Verb::RunNow => format!("This makes {jobs} scheduled jobs due now{which}."),
        Verb::Cancel(_) => format!("This gives {jobs} orders up{which}: their payments are voided."),
    }
}

/// What was done, and what may keep it from having an effect.
async fn report(shop: &Shop, verb: Verb<'_>, done: usize) {
    output::note(match verb {
        Verb::Retry => format!("{done} jobs are scheduled again"),
        Verb::RunNow => format!("{done} jobs are due now"),
        Verb::Cancel(_) => format!("{done} orders are given up; the workers void their payments"),
    });
    // It is done, whoever is away now.
    if let Ok(Some(pause)) = pausing::current(&shop.pool).await {
        output::note(format!("{}: they wait for `shopctl jobs resume`", pause::since(&pause)));
    }
}

fn print(format: Format, touched: &Touched) -> Result<(), Failure> {
    output::one(format, touched, |touched| {
        let row = |group: &Group| [group.kind.clone(), group.state.as_str().to_owned(), group.jobs.to_string()];
        match touched.groups {
            [] => output::table(["ID"], touched.jobs.iter().map(|job| [job.to_string()]).collect()),
            groups => output::table(["KIND", "WAS", "JOBS"], groups.iter().map(row).collect()),
        }
    })?;
    Ok(())
}

fn failure(error: ActError) -> Failure {
    let none_done = format!("{error}; nothing was done");
    match error {
        ActError::Unknown(_) => {
            Failure::new(Exit::NotFound, none_done).next("`shopctl jobs list` shows those that there are")
        }
        ActError::OrderEnded { .. } => Failure::new(Exit::Conflict, none_done)
            .next("`shopctl jobs list --needs-operator` shows those that can be retried or given up"),
        ActError::WrongState { .. } | ActError::Refund(_) | ActError::TwoLive => {
            Failure::new(Exit::Conflict, none_done).next("`shopctl jobs show JOB` says what a job waits for")
        }
        ActError::Database(error) => database(error),
    }
}
