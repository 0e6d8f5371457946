//! `shopctl products import`: products from a CSV file, all or none.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;
use shop_common::db::{self, Ending};
use shop_common::products::import::{Existing, FileError, ImportError, Plan, Refusal, Staging, Summary, Written};
use shop_common::reason::Reason;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::args::Format;
use crate::args::products_import::ProductsImportArgs;
use crate::ask;
use crate::commands::progress::Progress;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};
use crate::stack::signals::Asked;

/// A line of what is printed: with `-o jsonl` each refused line of the file, and always the summary last.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ImportReport)]
pub(crate) enum Report {
    Refused(Refusal),
    Summary(Summary),
}

/// How far an import has come.
enum Reached {
    /// Lines are refused, so nothing is written.
    Refused(Summary),
    /// Everything is written, but for the commit.
    Written(Written, Ending),
}

/// Imports a file. Ctrl-C stops it at any time before the commit, and nothing has happened then.
pub(crate) async fn run(args: &ProductsImportArgs) -> Result<(), Failure> {
    let (file, size) = open(&args.file)?;
    let shop = Shop::find(&args.shop.home.dir)?;
    let progress = Progress::new();
    let asked = Asked::listen()?;
    // To drop the work in the middle is safe: it has a connection of its own, which breaks with it.
    let reached = tokio::select! {
        biased;
        () = asked.to_stop() => Err(Failure::new(Exit::Stopped, "stopped; nothing was changed")),
        reached = write(&shop.pool, args, progress.reading(file, size), &progress) => reached,
    };
    progress.clear();
    let summary = match reached? {
        Reached::Refused(summary) => summary,
        Reached::Written(written, ending) => written.end(&shop.pool, ending).await.map_err(failure)?,
    };
    print(args.shop.output, summary)?;
    if summary.dry_run {
        output::note("this was a dry run: nothing was changed");
    }
    if summary.refused == 0 || args.skip_invalid {
        return Ok(());
    }
    let Summary { refused, read, .. } = summary;
    Err(Failure::new(Exit::Refused, format!("{refused} of {read} lines are refused; nothing was changed"))
        .next("correct them, or pass over them with --skip-invalid"))
}

/// The file and how many bytes it has, if that can be known.
fn open(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if path == OsStr::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let opened = File::open(path).and_then(|file| file.metadata().map(|about| (file, about)));
    let (file, about) = opened.map_err(|error| {
        let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        Failure::new(exit, format!("{}: {error}", path.display())).next("check the name of the file")
    })?;
    Ok((Box::new(file), about.is_file().then_some(about.len())))
}

async fn write(
    pool: &PgPool,
    args: &ProductsImportArgs,
    file: impl Read + Send + 'static,
    progress: &Progress,
) -> Result<Reached, Failure> {
    let mut refused = |refusal: Refusal| progress.aside(|| tell(args.shop.output, refusal));
    let mut staging = Staging::read(pool, file, &mut refused).await.map_err(failure)?;
    progress.comparing();
    let existing = if args.update { Existing::Update } else { Existing::Refuse };
    let plan = staging.compare(existing, &mut refused).await.map_err(failure)?;
    if staging.refused() > 0 && !args.skip_invalid {
        return Ok(Reached::Refused(Summary { dry_run: args.consent.dry_run, ..staging.give_up().await }));
    }
    let ending = if args.consent.dry_run {
        Ending::DryRun
    } else if plan.changed > 0 {
        progress.clear();
        ask::consent(pool, &args.consent, &deed(plan)).await?
    } else {
        Ending::Commit
    };
    let reason = args.reason.clone().map_or_else(|| reason(&args.file), Ok)?;
    let written = staging.write(&reason, &mut |step| progress.writing(step)).await.map_err(failure)?;
    Ok(Reached::Written(written, ending))
}

fn deed(Plan { new, changed, unchanged }: Plan) -> String {
    format!("This changes {changed} products, adds {new}, and leaves {unchanged} as they are.")
}

/// Why the stock is another: the file, as far as its name fits into a reason.
fn reason(file: &Path) -> Result<Reason, Failure> {
    let name = file.file_name().map(|name| name.to_string_lossy()).filter(|name| name != "-");
    let name: String = name.as_deref().unwrap_or("from stdin").chars().take(150).collect();
    let reason = format!("import {name}");
    reason.parse().map_err(|problem: &str| Failure::new(Exit::Refused, problem).next("give one with --reason"))
}

/// Tells of a refused line: for people as `line 7: price: it must be …`.
fn tell(format: Format, refusal: Refusal) -> io::Result<()> {
    if format == Format::Jsonl {
        return output::line(&Report::Refused(refusal)).map_err(io::Error::other);
    }
    let Refusal { line, column, reason } = refusal;
    let column = column.map(|column| format!("{column}: ")).unwrap_or_default();
    output::note(format!("line {line}: {column}{reason}"));
    Ok(())
}

fn print(format: Format, summary: Summary) -> anyhow::Result<()> {
    output::one(format, &Report::Summary(summary), |_| {
        let Summary { read, inserted, updated, unchanged, refused, passed_over, .. } = summary;
        output::table(
            ["READ", "INSERTED", "UPDATED", "UNCHANGED", "REFUSED", "PASSED OVER"],
            vec![[read, inserted, updated, unchanged, refused, passed_over].map(|lines| lines.to_string())],
        )
    })
}

fn failure(error: ImportError) -> Failure {
    match error {
        ImportError::File(FileError::Io(_)) | ImportError::Report(_) => {
            Failure::new(Exit::Failed, format!("{error}; nothing was changed"))
        }
        ImportError::File(_) => Failure::new(Exit::Refused, format!("{error}; nothing was changed"))
            .next("correct the file; docs/import.md says what is in one"),
        ImportError::Busy => Failure::new(Exit::Conflict, format!("{error}; nothing was changed"))
            .next("give the command again when that has ended"),
        ImportError::SkuTaken => {
            Failure::new(Exit::Conflict, format!("{error}; nothing was changed")).next("give the command again")
        }
        // A row that somebody else has held for too long.
        ImportError::Database(ref held) if db::is_lock_timeout(held) => {
            Failure::new(Exit::Conflict, format!("{error}; nothing was changed")).next("give the command again")
        }
        ImportError::Database(error) => database(error),
        ImportError::Unknown(_) => Failure::new(Exit::Away, error)
            .next("look for the products with `shopctl products export` before you give the command again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stock_is_changed_because_of_the_file() {
        let of = |file: &str| reason(Path::new(file)).unwrap().as_str().to_owned();
        assert_eq!(of("/tmp/spring.csv"), "import spring.csv");
        assert_eq!(of("-"), "import from stdin");
        assert_eq!(of(&"x".repeat(250)).len(), 157);
    }
}
