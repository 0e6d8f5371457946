//! `shop-worker` with failpoints and planted bugs.

use std::process::ExitCode;

use shop_common::chaos;

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
    shop_worker::start().await
}
