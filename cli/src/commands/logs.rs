//! `shopctl logs`: what the services of a shop in the background have written.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use crate::args::Format;
use crate::args::logs::LogsArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::stack::home;
use crate::stack::lines::{Line, Reader};
use crate::stack::state::find_running;

/// The pause between two looks for more lines.
const PAUSE: Duration = Duration::from_millis(100);

/// Prints the last lines, and with `--follow` goes on. Ctrl-C then ends it, as it ends anything (code 130 in a shell).
pub(crate) async fn run(args: &LogsArgs) -> Result<(), Failure> {
    let path = home::log_in(&args.shop.home.dir);
    let mut reader = Reader::open(&path).map_err(|error| absent(&args.shop.home.dir, &path, &error))?;
    let wanted =
        |line: &Line| args.service.as_ref().is_none_or(|service| line.is_of(service)) && line.is_at_least(args.level);
    let mut last = VecDeque::new();
    while let Some(line) = reader.next()? {
        if wanted(&line) {
            last.push_back(line);
            if last.len() > args.lines {
                last.pop_front();
            }
        }
    }
    if args.shop.output == Format::Json && !args.follow {
        return Ok(output::json(&last)?);
    }
    last.iter().try_for_each(|line| print(line, args.shop.output))?;
    if !args.follow {
        return Ok(());
    }
    loop {
        // Asked before the last lines are read, so that those of a shop that stops are all seen.
        let runs = find_running(&args.shop.home.dir).is_some();
        while let Some(line) = reader.next()? {
            if wanted(&line) {
                print(&line, args.shop.output)?;
            }
        }
        if !runs {
            output::note("the shop has stopped");
            return Ok(());
        }
        reader.turn()?;
        sleep(PAUSE).await;
    }
}

fn print(line: &Line, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Table => Ok(output::data(format_args!("{:<8} │ {}", line.service, line.text))?),
        Format::Json | Format::Jsonl => output::line(line),
    }
}

fn absent(dir: &Path, path: &Path, error: &io::Error) -> Failure {
    if error.kind() != io::ErrorKind::NotFound {
        return Failure::new(Exit::Failed, format!("cannot read {}: {error}", path.display()));
    }
    match find_running(dir) {
        Some(_) => Failure::new(Exit::NotFound, "the shop here writes its log to the terminal that it runs in")
            .next("read it there; `shopctl up --detach` keeps it in a file"),
        None => Failure::new(Exit::NotFound, format!("there is no log in {}", dir.display()))
            .next("start a shop with `shopctl up --detach`, or name the folder of one with --dir"),
    }
}
