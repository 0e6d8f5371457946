//! `shopctl jobs`: what is to be done, and what came of it.

use serde::Serialize;
use shop_common::jobs::ledger::{self, AttemptRecord, JobFilter, JobRecord};
use shop_common::jobs::queue::Queue;
use shop_common::jobs::{JobState, Token};
use utoipa::ToSchema;

use super::{dead, pause, reconcile};
use crate::args::jobs::{DeadCommand, JobStateArg, JobsCommand, JobsListArgs, JobsShowArgs};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// `shopctl jobs …`.
pub(crate) async fn run(command: JobsCommand) -> Result<(), Failure> {
    match command {
        JobsCommand::List(args) => list(&args).await,
        JobsCommand::Show(args) => show(&args).await,
        JobsCommand::Pause(args) => pause::pause(&args).await,
        JobsCommand::Resume(args) => pause::resume(&args).await,
        JobsCommand::Dead(DeadCommand::List(args)) => dead::list(&args).await,
        JobsCommand::Dead(DeadCommand::Retry(args)) => dead::retry(&args).await,
        JobsCommand::Dead(DeadCommand::Discard(args)) => dead::discard(&args).await,
        JobsCommand::Reconcile(args) => reconcile::run(&args).await,
    }
}

/// Lists jobs, newest first.
async fn list(args: &JobsListArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let filter = JobFilter { state: args.state.map(state), order: args.order };
    let jobs = ledger::list(&shop.pool, &filter, args.limit).await.map_err(database)?;
    let row = |job: &JobRecord| {
        [
            job.id.to_string(),
            job.kind.clone(),
            job.state.as_str().to_owned(),
            job.run_at.format("%F %T%.3f").to_string(),
            job.attempts.to_string(),
            job.order_id.to_string(),
            output::or_dash(job.last_error.as_ref()),
        ]
    };
    let headers = ["ID", "KIND", "STATE", "RUN AT (UTC)", "ATTEMPTS", "ORDER", "LAST ERROR"];
    output::list(args.shop.output, &jobs, headers, row)?;
    Ok(())
}

/// A job, what came of it, and whether PostgreSQL and Redis agree about it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownJob {
    #[serde(flatten)]
    job: JobRecord,
    history: Vec<AttemptRecord>,
    /// Where Redis has it: `scheduled`, `leased`, `nowhere`, or `away` when Redis does not answer.
    schedule: &'static str,
    agree: bool,
}

/// Shows one job.
async fn show(args: &JobsShowArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let (job, history) = ledger::find(&shop.pool, args.id).await.map_err(database)?.ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("there is no job {}", args.id)).next("list them with `shopctl jobs list`")
    })?;
    let schedule = match Queue::new(shop.redis()?).place_of(job.id, job.token.as_ref()).await {
        Ok(place) => place.unwrap_or("nowhere"),
        Err(_) => "away",
    };
    let agree = match job.state {
        JobState::Scheduled => schedule == "scheduled",
        JobState::Running => schedule == "leased",
        JobState::Completed | JobState::Dead | JobState::Cancelled => schedule == "nowhere",
    };
    let shown = ShownJob { job, history, schedule, agree };
    output::one(args.shop.output, &shown, print)?;
    Ok(())
}

fn print(ShownJob { job, history, schedule, agree }: &ShownJob) -> std::io::Result<()> {
    let agreement = if *agree { "they agree" } else { "they do not agree; the reconciler mends that" };
    let facts = [
        ("id", job.id.to_string()),
        ("kind", format!("{} v{}", job.kind, job.version)),
        ("payload", job.payload.to_string()),
        ("order", job.order_id.to_string()),
        ("state", format!("{} (Redis: {schedule}; {agreement})", job.state.as_str())),
        ("run at", format!("{} UTC", job.run_at.format("%F %T%.3f"))),
        ("attempts", format!("{} answers, {} retries, {} claims", job.attempts, job.retries, job.claims)),
        ("worker", output::or_dash(job.boot_id)),
        ("token", output::or_dash(job.token.as_ref().map(Token::as_str))),
        ("request", output::or_dash(job.request_id.as_ref())),
        ("given up", output::or_dash(job.give_up.as_ref())),
        ("last error", output::or_dash(job.last_error.as_ref())),
    ];
    output::facts(&facts)?;
    if history.is_empty() {
        return Ok(());
    }
    output::data("")?;
    let row = |attempt: &AttemptRecord| {
        [
            attempt.claim.to_string(),
            attempt.created_at.format("%F %T%.3f").to_string(),
            attempt.outcome.clone(),
            output::or_dash(attempt.code.as_ref()),
            attempt.charge_key.clone(),
        ]
    };
    output::table(["CLAIM", "AT (UTC)", "OUTCOME", "CODE", "KEY"], history.iter().map(row).collect())
}

fn state(state: JobStateArg) -> JobState {
    match state {
        JobStateArg::Scheduled => JobState::Scheduled,
        JobStateArg::Running => JobState::Running,
        JobStateArg::Completed => JobState::Completed,
        JobStateArg::Dead => JobState::Dead,
        JobStateArg::Cancelled => JobState::Cancelled,
    }
}
