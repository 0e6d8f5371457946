//! `reads` measures what a page of the catalogue costs the api, beside servers that only send the same bytes.

mod args;
mod constant;
mod measure;

use std::process::ExitCode;

use clap::Parser;

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
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
