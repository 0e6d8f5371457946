//! Asking before something cannot be undone.

use std::io::{self, IsTerminal, Write};
use std::thread;

use shop_common::db::{self, Ending, Environment};
use sqlx::PgPool;
use tokio::sync::oneshot;

use crate::args::ConsentArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::database;

/// Says what is going to be touched, and whether to go on: asks on the terminal unless the options have answered.
///
/// A database that is marked production wants its name, typed or as `--confirm NAME`: there `--yes`, which sits in
/// many a shell's history, is not enough. Where there is nobody to ask, the answer is no.
pub(crate) async fn consent(pool: &PgPool, args: &ConsentArgs, deed: &str) -> Result<Ending, Failure> {
    if args.dry_run {
        output::note(format!("{deed} Nothing was done."));
        return Ok(Ending::DryRun);
    }
    let here = db::installation(pool).await.map_err(database)?;
    let refused = |why: String, next: String| Err(Failure::new(Exit::Refused, why).next(next));
    let by_name = format!("say --confirm {} if you mean it", here.database);
    match (&args.confirm, here.environment) {
        (Some(name), _) if *name == here.database => Ok(Ending::Commit),
        (Some(name), _) => {
            refused(format!("this database is {}, not {name}; nothing was done", here.database), by_name)
        }
        (None, Environment::Production) if args.yes => {
            refused(format!("{deed} This database is marked production, where --yes is not enough."), by_name)
        }
        (None, _) if args.yes => Ok(Ending::Commit),
        (None, Environment::Production) => {
            let question =
                format!("{deed} This is production. Type the name of the database ({}) to go on: ", here.database);
            answered(&question, &by_name, |answer| answer == here.database).await
        }
        (None, _) => answered(&format!("{deed} Go on? [y/N] "), "say --yes if you mean it", is_yes).await,
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer, "y" | "Y" | "yes")
}

async fn answered(question: &str, next: &str, agrees: impl Fn(&str) -> bool) -> Result<Ending, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(
            Exit::Refused,
            format!("{}\n  Nobody is there to answer; nothing was done", question.trim_end()),
        )
        .next(next));
    }
    let mut stderr = io::stderr();
    write!(stderr, "{question}")?;
    stderr.flush()?;
    let answer = line_of_stdin().await?;
    if agrees(answer.trim()) {
        Ok(Ending::Commit)
    } else {
        Err(Failure::new(Exit::Refused, "nothing was done").next(next))
    }
}

/// What is typed, read on a thread of its own: a command that listens for Ctrl-C must hear it while it asks.
async fn line_of_stdin() -> io::Result<String> {
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line);
        // Nobody waits any more if it was stopped.
        let _ = sender.send(read.map(|_| line));
    });
    receiver.await.unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into()))
}
