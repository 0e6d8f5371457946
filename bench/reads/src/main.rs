//! `reads` measures what a page of the catalogue costs the api, beside servers that only send the same bytes.

mod args;
mod constant;
mod measure;

use std::process::ExitCode;

use clap::Parser;
use shop_bench_kit::options::exit;

use crate::args::{Args, Command};

/// The api's, so that the rivals have no other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Measure(args) => measure::measure(&args).await,
        Command::Serve { rival, exchange } => constant::serve(rival, &exchange).await,
    };
    exit(done)
}
