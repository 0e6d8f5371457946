//! `shopctl jobs pause` and `resume`: whether workers may start jobs.

use std::time::Duration;

use serde::Serialize;
use shop_common::jobs::pause::{self, Pause, Paused};

use crate::args::{Format, JobsPauseArgs, ShopArgs};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// How long to wait for claims that began before the pause: longer than a statement may run.
const OLDER_CLAIMS: Duration = Duration::from_secs(30);

/// Whether it is paused now, and the pause that has begun, is under way, or has ended.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    paused: bool,
    /// Whether the command has changed that.
    changed: bool,
    #[serde(flatten)]
    pause: Option<Pause>,
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
    print(args.shop.output, &Report { paused: true, changed, pause: Some(pause) })?;
    let again = "run `shopctl jobs pause` again, which waits for the claims that began before";
    let ended = pause::older_claims_end(&shop.pool, OLDER_CLAIMS).await;
    if !ended.map_err(|error| database(error).next(format!("it is paused; {again}")))? {
        let error = "it is paused, but a claim that began before has not ended, and may still start jobs";
        return Err(Failure::new(Exit::Conflict, error).next(again));
    }
    output::note("no worker starts a job; jobs in hand end as usual. `shopctl jobs resume` ends the pause");
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
    print(args.output, &Report { paused: false, changed: ended.is_some(), pause: ended })
}

/// Since when it is paused, and why.
pub(crate) fn since(pause: &Pause) -> String {
    let reason = pause.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("paused since {} UTC{reason}", pause.paused_at.format("%F %T"))
}

/// For people, the note has said it.
fn print(format: Format, report: &Report) -> Result<(), Failure> {
    match format {
        Format::Json => Ok(output::json(report)?),
        Format::Table => Ok(()),
    }
}
