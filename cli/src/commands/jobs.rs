//! `shopctl jobs`: what is to be done, what came of it, and what operators do about it.

mod act;
mod drain;
pub(super) mod frame;
mod history;
mod list;
pub(super) mod pause;
mod progress;
mod prune;
mod reconcile;
mod show;
mod span;
mod stats;
mod top;

use serde_json::Value;
use shop_common::jobs::act::Verb;
use shop_common::pagination::cursor::Cursor;

pub(crate) use self::act::Touched;
pub(crate) use self::drain::Drained;
pub(crate) use self::pause::PauseReport;
pub(crate) use self::prune::PruneReport;
pub(crate) use self::show::ShownJob;
use self::span::span;
use crate::args::jobs::JobsCommand;
use crate::exit::Failure;
use crate::output;

/// `shopctl jobs …`.
pub(crate) async fn run(command: JobsCommand) -> Result<(), Failure> {
    match command {
        JobsCommand::Stats(args) => stats::run(&args).await,
        JobsCommand::List(args) => list::run(&args).await,
        JobsCommand::Show(args) => show::run(&args).await,
        JobsCommand::Retry(args) => act::run(&args, Verb::Retry).await,
        JobsCommand::RunNow(args) => act::run(&args, Verb::RunNow).await,
        JobsCommand::Cancel(args) => act::run(&args.act, Verb::Cancel(&args.reason)).await,
        JobsCommand::Pause(args) => pause::pause(&args).await,
        JobsCommand::Resume(args) => pause::resume(&args).await,
        JobsCommand::Drain(args) => drain::run(&args).await,
        JobsCommand::History(args) => history::run(&args).await,
        JobsCommand::Top(args) => top::run(&args).await,
        JobsCommand::Prune(args) => prune::run(&args).await,
        JobsCommand::Reconcile(args) => reconcile::run(&args).await,
    }
}

/// Says how to go on with a list that is longer.
fn say_next(next: Option<Cursor>) {
    // A cursor is a text, in JSON as well.
    if let Some(Ok(Value::String(cursor))) = next.map(serde_json::to_value) {
        output::note(format!("for the next ones add --after {cursor}"));
    }
}
