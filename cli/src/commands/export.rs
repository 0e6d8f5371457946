//! `shopctl products export`: the catalogue as a CSV file that `import` takes.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use shop_common::products::export::{ExportError, export};
use sqlx::PgPool;
use tempfile::Builder;

use crate::args::products_import::ProductsExportArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};
use crate::stack::signals::Asked;

/// Writes the catalogue to a file, or to stdout.
pub(crate) async fn run(args: &ProductsExportArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.home.dir)?;
    match args.file.as_ref().filter(|file| *file != Path::new("-")) {
        Some(file) => to_file(&shop.pool, file).await,
        None => match export(&shop.pool, io::stdout().lock()).await {
            // Whoever reads has seen enough.
            Err(ExportError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map(drop).map_err(failure),
        },
    }
}

/// The file is there when it is whole: until then it is another one beside it.
async fn to_file(pool: &PgPool, path: &PathBuf) -> Result<(), Failure> {
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("{}: {error}", path.display())).next("name a file in a folder that is there")
    };
    // What is there and is no file (a device, a pipe) is written to, not replaced; of a link, what it points to is.
    let there = fs::canonicalize(path);
    let path = there.as_ref().unwrap_or(path);
    if fs::metadata(path).is_ok_and(|about| !about.is_file()) {
        let mut stream = fs::OpenOptions::new().write(true).open(path).map_err(|error| cannot(&error))?;
        return export(pool, &mut stream).await.map(drop).map_err(failure);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let permissions = Permissions::from_mode(0o666);
    let mut file = Builder::new().permissions(permissions).tempfile_in(folder).map_err(|error| cannot(&error))?;
    let asked = Asked::listen()?;
    let count = tokio::select! {
        biased;
        () = asked.to_stop() => return Err(Failure::new(Exit::Stopped, "stopped; no file was written")),
        count = export(pool, file.as_file_mut()) => count.map_err(failure)?,
    };
    file.persist(path).map_err(|error| cannot(&error.error))?;
    output::note(format!("{count} products are in {}", path.display()));
    Ok(())
}

fn failure(error: ExportError) -> Failure {
    match error {
        ExportError::Io(_) => Failure::new(Exit::Failed, error),
        ExportError::Database(error) => database(error),
    }
}
