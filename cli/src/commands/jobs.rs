//! `shopctl jobs`: what is to be done, and what came of it.

use serde::Serialize;
use shop_common::jobs::JobState;
use shop_common::jobs::ledger::{self, AttemptRecord, JobFilter, JobRecord};
use shop_common::jobs::queue::Queue;

use crate::args::{Format, JobStateArg, JobsListArgs, JobsShowArgs};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// Lists jobs, newest first.
pub(crate) async fn list(args: &JobsListArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let filter = JobFilter { state: args.state.map(state), order: args.order };
    let jobs = ledger::list(&shop.pool, &filter, args.limit).await.map_err(database)?;
    match args.shop.output {
        Format::Json => output::json(&jobs)?,
        Format::Table => {
            let row = |job: JobRecord| {
                let error = job.last_error.unwrap_or_else(|| "-".to_owned());
                let run_at = job.run_at.format("%F %T%.3f").to_string();
                let attempts = job.attempts.to_string();
                [
                    job.id.to_string(),
                    job.kind,
                    job.state.as_str().to_owned(),
                    run_at,
                    attempts,
                    job.order_id.to_string(),
                    error,
                ]
            };
            let headers = ["ID", "KIND", "STATE", "RUN AT (UTC)", "ATTEMPTS", "ORDER", "LAST ERROR"];
            output::table(headers, jobs.into_iter().map(row).collect())?;
        }
    }
    Ok(())
}

/// A job, what came of it, and whether PostgreSQL and Redis agree about it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    #[serde(flatten)]
    job: JobRecord,
    history: Vec<AttemptRecord>,
    /// Where Redis has it: `scheduled`, `leased`, `nowhere`, or `away` when Redis does not answer.
    schedule: &'static str,
    agree: bool,
}

/// Shows one job.
pub(crate) async fn show(args: &JobsShowArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let (job, history) = ledger::find(&shop.pool, args.id).await.map_err(database)?.ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("there is no job {}", args.id)).next("list them with `shopctl jobs list`")
    })?;
    let schedule = match Queue::new(shop.redis).place_of(job.id, job.token.as_ref()).await {
        Ok(place) => place.unwrap_or("nowhere"),
        Err(_) => "away",
    };
    let agree = match job.state {
        JobState::Scheduled => schedule == "scheduled",
        JobState::Running => schedule == "leased",
        JobState::Completed | JobState::Dead | JobState::Cancelled => schedule == "nowhere",
    };
    let shown = Shown { job, history, schedule, agree };
    match args.shop.output {
        Format::Json => output::json(&shown)?,
        Format::Table => print(shown)?,
    }
    Ok(())
}

fn print(shown: Shown) -> std::io::Result<()> {
    let Shown { job, history, schedule, agree } = shown;
    let none = || "-".to_owned();
    let agreement = if agree { "they agree" } else { "they do not agree; the reconciler mends that" };
    let facts = [
        ("id", job.id.to_string()),
        ("kind", format!("{} v{}", job.kind, job.version)),
        ("payload", job.payload.to_string()),
        ("order", job.order_id.to_string()),
        ("state", format!("{} (Redis: {schedule}; {agreement})", job.state.as_str())),
        ("run at", format!("{} UTC", job.run_at.format("%F %T%.3f"))),
        ("attempts", format!("{} answers, {} retries, {} claims", job.attempts, job.retries, job.claims)),
        ("worker", job.boot_id.map_or_else(none, |boot| boot.to_string())),
        ("token", job.token.map_or_else(none, |token| token.as_str().to_owned())),
        ("request", job.request_id.unwrap_or_else(none)),
        ("given up", job.give_up.unwrap_or_else(none)),
        ("last error", job.last_error.unwrap_or_else(none)),
    ];
    output::table(["FIELD", "VALUE"], facts.map(|(name, value)| [name.to_owned(), value]).to_vec())?;
    if history.is_empty() {
        return Ok(());
    }
    output::data("")?;
    let row = |attempt: AttemptRecord| {
        let at = attempt.created_at.format("%F %T%.3f").to_string();
        [attempt.claim.to_string(), at, attempt.outcome, attempt.code.unwrap_or_else(none), attempt.charge_key]
    };
    output::table(["CLAIM", "AT (UTC)", "OUTCOME", "CODE", "KEY"], history.into_iter().map(row).collect())
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
