//! `shopctl jobs pause` and `resume`: whether workers may start jobs.

use std::time::Duration;

use serde::Serialize;
use shop_common::jobs::pause::{self, Pause, Paused};
use shop_common::time::{self, Timestamp};
use utoipa::ToSchema;

use crate::args::jobs::JobsPauseArgs;
use crate::args::{Format, ShopArgs};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// How long to wait for claims that began before the pause: longer than a statement may run.
const OLDER_CLAIMS: Duration = Duration::from_secs(30);

/// Whether it is paused now, and the pause that has begun, is under way, or has ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PauseReport {
    paused: bool,
    /// Whether the command has changed that.
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(serialize_with = "time::optional_millis", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    paused_at: Option<Timestamp>,
}

impl PauseReport {
    fn new(paused: bool, changed: bool, pause: Option<Pause>) -> Self {
        let (reason, paused_at) = pause.map_or((None, None), |pause| (pause.reason, Some(pause.paused_at)));
        Self { paused, changed, reason, paused_at }
    }
}

/// Lets no worker start a job.
pub(crate) async fn pause(args: &JobsPauseArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let (changed, pause) = match pause::pause(&shop.pool, args.reason.as_ref()).await.map_err(database)? {
        Paused::Now(pause) => (true, pause),
        Paused::Before(pause) => (false, pause),
    };
    if !changed {
        output::note(since(&pause));
    }
    print(args.shop.output, &PauseReport::new(true, changed, Some(pause)))?;
    let again = "run `shopctl jobs pause` again, which waits for the claims that began before";
    let ended = pause::older_claims_end(&shop.pool, OLDER_CLAIMS).await;
    if !ended.map_err(|error| database(error).next(format!("it is paused; {again}")))? {
        let error = "it is paused, but a claim that began before has not ended, and may still start jobs";
        return Err(Failure::new(Exit::Conflict, error).next(again));
    }
    output::note(
        "no worker starts a job; jobs in hand end as usual (`shopctl jobs drain --in-hand` waits). `shopctl jobs resume` ends the pause",
    );
    Ok(())
}

/// Lets the workers start jobs again.
pub(crate) async fn resume(args: &ShopArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.home.dir)?;
    let ended = pause::resume(&shop.pool).await.map_err(database)?;
    output::note(match &ended {
        Some(_) => "resumed: the workers go on within a second or two",
        None => "it was not paused",
    });
    print(args.output, &PauseReport::new(false, ended.is_some(), ended))
}

/// Since when it is paused, and why.
pub(crate) fn since(pause: &Pause) -> String {
    let reason = pause.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("paused since {} UTC{reason}", pause.paused_at.format("%F %T"))
}

/// For people, the note has said it.
fn print(format: Format, report: &PauseReport) -> Result<(), Failure> {
    Ok(output::one(format, report, |_| Ok(()))?)
}
