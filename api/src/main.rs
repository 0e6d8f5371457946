//! The shop's REST server.

use std::process::ExitCode;

/// With glibc's, the 19 MiB of each password hash leave holes that nothing fits into
/// again: hundreds of megabytes after a few hundred logins. This one gives them back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match shop_api::start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: shop-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}
