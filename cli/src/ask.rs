//! Asking before something cannot be undone.

use std::io::{self, IsTerminal, Write};

use crate::exit::{Exit, Failure};

/// Asks on the terminal, unless `--yes` has answered already. Where there is nobody to ask, the answer is no.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let refused = |why: &str| Failure::new(Exit::Refused, why).next("say --yes if you mean it");
    if !io::stdin().is_terminal() {
        return Err(refused(&format!("{question} Nobody is there to answer.")));
    }
    let mut stderr = io::stderr();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(refused("nothing was done")),
    }
}
