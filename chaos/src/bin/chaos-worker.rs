//! `shop-worker` with failpoints and planted bugs.

use std::process::ExitCode;

use shop_common::metrics::{Daemon, Exporter};
use shop_common::{chaos, config, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: chaos-worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    chaos::init()?;
    let (figment, settings) = config::load()?;
    telemetry::init_logs(&settings.log)?;
    let metrics = Exporter::install(Daemon::Worker)?;
    shop_worker::run(figment, settings, metrics).await
}
