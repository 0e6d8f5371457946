//! The shop's worker daemon: it charges the payments of accepted orders.

use std::process::ExitCode;

use shop_common::metrics::{Daemon, Exporter};
use shop_common::{config, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: shop-worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let (figment, settings) = config::load()?;
    telemetry::init_logs(&settings.log)?;
    let metrics = Exporter::install(Daemon::Worker)?;
    shop_worker::run(figment, settings, metrics).await
}
