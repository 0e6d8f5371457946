//! `shop-api` with failpoints and planted bugs.

use std::process::ExitCode;

use shop_common::metrics::{Daemon, Exporter};
use shop_common::{chaos, config, telemetry};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: chaos-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    chaos::init()?;
    let (figment, settings) = config::load()?;
    telemetry::init_logs(&settings.log)?;
    let metrics = Exporter::install(Daemon::Api)?;
    shop_api::run(figment, settings, metrics).await
}
