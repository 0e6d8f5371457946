//! Lets `shopctl verify` check the shop's invariants in its database.

use std::path::PathBuf;

use tokio::process::Command;

#[derive(Debug)]
pub(crate) enum Verified {
    Ok,
    /// With what it said.
    Failed(String),
    Skipped,
}

pub(crate) async fn run(shopctl: Option<PathBuf>, database_url: Option<&str>) -> Verified {
    let Some(database_url) = database_url else {
        return Verified::Skipped;
    };
    let shopctl = match shopctl.map_or_else(next_to_this_program, Ok) {
        Ok(path) => path,
        Err(error) => return Verified::Failed(format!("shopctl was not found: {error}")),
    };
    match Command::new(&shopctl).arg("verify").env("DATABASE_URL", database_url).output().await {
        Ok(output) if output.status.success() => Verified::Ok,
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            Verified::Failed(format!("{}\n{}", output.status, String::from_utf8_lossy(&said).trim_end()))
        }
        Err(error) => Verified::Failed(format!("{} cannot be started: {error}", shopctl.display())),
    }
}

fn next_to_this_program() -> std::io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(format!("shopctl{}", std::env::consts::EXE_SUFFIX)))
}
