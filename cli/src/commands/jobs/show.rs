//! `shopctl jobs show`: all that is known of one job.

use serde::Serialize;
use shop_common::jobs::ledger::{self, AttemptRecord, JobRecord};
use shop_common::jobs::pause::{self as pausing, Pause};
use shop_common::jobs::queue::Queue;
use shop_common::jobs::workers::{self, Worker};
use shop_common::jobs::{JobState, Token};
use utoipa::ToSchema;

use super::{pause, span};
use crate::args::jobs::JobsShowArgs;
use crate::commands::payments::print_attempts;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// A job, what came of it, who has it, and whether PostgreSQL and Redis agree about it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownJob {
    #[serde(flatten)]
    job: JobRecord,
    /// The proof of the last claim.
    token: Option<String>,
    /// What came of its claims, oldest first.
    history: Vec<AttemptRecord>,
    /// Seconds until a scheduled job is due; less than nothing when it is due already.
    due_in_seconds: Option<f64>,
    /// The worker that has a running job, if it is known.
    worker: Option<Worker>,
    /// The pause, if claiming is paused.
    paused: Option<Pause>,
    /// Where Redis has it: `scheduled`, `leased`, `nowhere`, or `away` when Redis does not answer.
    schedule: &'static str,
    /// Whether it should be there.
    agree: bool,
}

/// Shows one job.
pub(super) async fn run(args: &JobsShowArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let found = ledger::find(&shop.pool, args.id).await.map_err(database)?;
    let (job, history) = found.ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("there is no job {}", args.id)).next("list them with `shopctl jobs list`")
    })?;
    let due_in_seconds = ledger::due_in(&shop.pool, job.id).await.map_err(database)?;
    let paused = pausing::current(&shop.pool).await.map_err(database)?;
    let owner = job.boot_id.filter(|_| job.state == JobState::Running);
    let worker = match owner {
        Some(owner) => {
            let workers = workers::list(&shop.pool, shop.lease).await.map_err(database)?;
            workers.into_iter().find(|worker| worker.boot_id == owner)
        }
        None => None,
    };
    let schedule = match Queue::new(shop.redis()?).place_of(job.id, job.token.as_ref()).await {
        Ok(place) => place.unwrap_or("nowhere"),
        Err(_) => "away",
    };
    let agree = match job.state {
        JobState::Scheduled => schedule == "scheduled",
        JobState::Running => schedule == "leased",
        JobState::Completed | JobState::Dead | JobState::Cancelled => schedule == "nowhere",
    };
    let token = job.token.as_ref().map(Token::as_str).map(str::to_owned);
    let shown = ShownJob { job, token, history, due_in_seconds, worker, paused, schedule, agree };
    output::one(args.shop.output, &shown, ShownJob::print)?;
    Ok(())
}

impl ShownJob {
    fn print(&self) -> std::io::Result<()> {
        let Self { job, schedule, .. } = self;
        let agreement = if self.agree { "they agree" } else { "they do not agree; the reconciler mends that" };
        let facts = [
            ("id", job.id.to_string()),
            ("kind", format!("{} v{}", job.kind, job.version)),
            ("payload", job.payload.to_string()),
            ("order", job.order_id.to_string()),
            ("state", format!("{} (Redis: {schedule}; {agreement})", job.state.as_str())),
            ("next run", self.next_run()),
            ("attempts", format!("{} answers, {} retries, {} claims", job.attempts, job.retries, job.claims)),
            ("worker", self.worker()),
            ("token", output::or_dash(self.token.as_ref())),
            ("request", output::or_dash(job.request_id.as_ref())),
            ("trace", output::or_dash(job.trace.as_ref())),
            ("made", format!("{} UTC", output::time(&job.created_at))),
            ("changed", format!("{} UTC", output::time(&job.updated_at))),
            ("given up", output::or_dash(job.give_up.as_ref())),
            ("last error", output::or_dash(job.last_error.as_ref())),
        ];
        output::facts(&facts)?;
        print_attempts(&self.history)
    }

    fn next_run(&self) -> String {
        let at = self.job.run_at.format("%F %T%.3f");
        let when = match (self.due_in_seconds, &self.paused) {
            (None, _) => return "-".to_owned(),
            (Some(_), Some(pause)) => pause::since(pause),
            (Some(wait), None) if wait > 0.0 => format!("in {}", span(wait)),
            (Some(wait), None) => format!("due for {}", span(-wait)),
        };
        format!("{at} UTC, {when}")
    }

    fn worker(&self) -> String {
        let Some(boot) = self.job.boot_id else { return "-".to_owned() };
        match (&self.worker, self.job.state) {
            (Some(worker), _) if worker.alive => format!("{boot} on {}, pid {}", worker.host, worker.pid),
            (Some(worker), _) => format!(
                "{boot} on {}, pid {}, silent for {}: another takes it up",
                worker.host,
                worker.pid,
                span(worker.silent_seconds)
            ),
            (None, JobState::Running) => format!("{boot}, which is gone: another takes it up"),
            (None, _) => format!("{boot}, the last one that had it"),
        }
    }
}
