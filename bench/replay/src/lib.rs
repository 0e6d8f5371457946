//! `replay` sells a real shop's export of order lines again, over HTTP, and checks that nothing was lost, doubled or oversold.

mod args;
mod export;
mod lineup;
mod outcome;
mod payment;
mod place;
mod plan;
mod progress;
mod report;
mod run;
mod settle;
mod setup;
mod shop;
mod stock;
mod summary;
mod verify;
mod wire;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::args::Args;
use crate::plan::Plan;

#[cfg(any(test, fuzzing))]
pub use crate::export::fuzzing;

/// The carts of an export, for other benchmarks.
#[derive(Debug)]
pub struct RealCarts {
    /// How many products there are.
    pub products: usize,
    /// What is in each cart: the product's number and how many pieces of it, each product once.
    pub carts: Vec<Vec<(usize, u32)>>,
}

/// Reads the carts of exports.
///
/// # Errors
/// When a file cannot be read.
pub fn carts(files: &[PathBuf]) -> anyhow::Result<RealCarts> {
    let plan = Plan::of(export::read_files(files)?, usize::MAX);
    let lines = |cart: &plan::Cart| {
        let mut lines = BTreeMap::new();
        for item in &cart.items {
            *lines.entry(item.product).or_insert(0_u32) += item.quantity;
        }
        lines.into_iter().collect()
    };
    Ok(RealCarts { products: plan.products.len(), carts: plan.carts().map(|(_, cart)| lines(cart)).collect() })
}

/// Does what the command line says, and gives how the program exits.
pub async fn main() -> ExitCode {
    match replay(&Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is as it should be.
async fn replay(args: &Args) -> anyhow::Result<bool> {
    let plan = Plan::of(export::read_files(&args.files)?, args.limit());
    print(&summary::of_plan(&plan, args.payment_method.as_deref()))?;
    if args.plan_only {
        return Ok(true);
    }

    let outcome = run::replay(args, &plan).await?;
    print(&summary::of_outcome(&plan, &outcome))?;
    if let Some(path) = &args.report {
        report::write(path, &plan, &outcome).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(outcome.problems(&plan).is_empty())
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("writing the summary")
}
