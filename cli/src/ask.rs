//! Asking before something cannot be undone.

use std::io::{self, IsTerminal, Write};

use shop_common::db::{self, Ending, Environment};
use sqlx::PgPool;

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
            answered(&question, &by_name, |answer| answer == here.database)
        }
        (None, _) => answered(&format!("{deed} Go on? [y/N] "), "say --yes if you mean it", is_yes),
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer, "y" | "Y" | "yes")
}

fn answered(question: &str, next: &str, agrees: impl Fn(&str) -> bool) -> Result<Ending, Failure> {
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
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if agrees(answer.trim()) {
        Ok(Ending::Commit)
    } else {
        Err(Failure::new(Exit::Refused, "nothing was done").next(next))
    }
}
