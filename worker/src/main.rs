//! The shop's worker daemon: it charges the payments of accepted orders.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match shop_worker::start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: shop-worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}
