//! The shop's REST server.

use std::process::ExitCode;

use shop_common::metrics::{Daemon, Exporter};
use shop_common::{config, telemetry};

/// With glibc's, the 19 MiB of each password hash leave holes that nothing fits into
/// again: hundreds of megabytes after a few hundred logins. This one gives them back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: shop-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let (figment, settings) = config::load()?;
    telemetry::init_logs(&settings.log)?;
    let metrics = Exporter::install(Daemon::Api)?;
    shop_api::run(figment, settings, metrics).await
}
