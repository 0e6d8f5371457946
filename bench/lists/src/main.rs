//! `lists` measures pages of lists: whether a page of a shop with millions of rows costs what it costs with a thousand.

mod args;
mod books;
mod measure;
mod operators;
mod pages;
mod plans;
mod report;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::args::Args;
use crate::books::Books;
use crate::plans::Plans;

#[tokio::main]
async fn main() -> ExitCode {
    match lists(&Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether no table was read from end to end.
async fn lists(args: &Args) -> anyhow::Result<bool> {
    let plans = Plans::listen();
    let small = Books::open(&args.database_url, args.small, args.small).await?;
    let measured = match Books::open(&args.database_url, args.products, args.orders).await {
        Ok(large) => {
            let measured = measure::measure(args, &small, &large, &plans).await;
            large.close().await?;
            measured
        }
        Err(error) => Err(error),
    };
    small.close().await?;
    let lines = measured?;
    std::io::stdout().lock().write_all(report::text(args, &lines).as_bytes()).context("writing the table")?;
    Ok(lines.iter().all(|line| line.scanned.is_empty()))
}
