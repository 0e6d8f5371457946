//! `shopctl`, the operators' command line: parse, run, leave with a code that
//! says how it went.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking"))]

mod args;
mod ask;
mod commands;
mod exit;
mod output;
mod paging;
mod schema;
mod settings;
mod shop;
mod stack;

use std::process::ExitCode;

use clap::Parser;

use crate::args::stack::ServicesCommand;
use crate::args::{Cli, Command};

// One thread: Linux ties a child's "parent died" signal to the thread that
// started it, so every child has to be started by the thread that lives longest.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Up(args) => commands::up::run(&args).await,
        Command::Down(args) => commands::down::run(&args).await,
        Command::Status(args) => commands::status::run(&args).await,
        Command::Logs(args) => commands::logs::run(&args).await,
        Command::Services(ServicesCommand::Run(args)) => commands::services::run(&args).await,
        Command::Migrate(command) => commands::migrate::run(command).await,
        Command::Admin(command) => commands::admin::run(command).await,
        Command::Products(command) => commands::products::run(command).await,
        Command::Stock(command) => commands::stock::run(command).await,
        Command::Orders(command) => commands::orders::run(command).await,
        Command::Users(command) => commands::users::run(command).await,
        Command::Keys(command) => commands::keys::run(command).await,
        Command::Jobs(command) => commands::jobs::run(command).await,
        Command::Payments(command) => commands::payments::run(command).await,
        Command::Workers(command) => commands::workers::run(command).await,
        Command::Verify(args) => commands::verify::run(&args).await,
        Command::Doctor(args) => commands::doctor::run(&args).await,
        Command::Config(command) => commands::config::run(command),
        Command::Openapi => commands::openapi::print(),
        Command::Completions(args) => commands::docs::completions(&args),
        Command::Man(args) => commands::docs::man(&args),
        Command::Schema => output::json(&schema::document()).map_err(Into::into),
    };
    result.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}
