//! `shopctl`, the operators' command line: parse, run, leave with a code that
//! says how it went.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking"))]

mod args;
mod ask;
mod commands;
mod exit;
mod output;
mod shop;
mod stack;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{
    AdminCommand, Cli, Command, DeadCommand, JobsCommand, KeysCommand, MigrateCommand, OrdersCommand, PaymentsCommand,
    ServicesCommand, StockCommand, UsersCommand, WorkersCommand,
};

// One thread: Linux ties a child's "parent died" signal to the thread that
// started it, so every child has to be started by the thread that lives longest.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Up(args) => commands::up::run(&args).await,
        Command::Down(args) => commands::down::run(&args).await,
        Command::Status(args) => commands::status::run(&args).await,
        Command::Services(ServicesCommand::Run(args)) => commands::services::run(&args).await,
        Command::Migrate(MigrateCommand::Run(args)) => commands::migrate::run(&args).await,
        Command::Migrate(MigrateCommand::Status(args)) => commands::migrate::status(&args).await,
        Command::Migrate(MigrateCommand::New(args)) => commands::migrate::new(&args),
        Command::Migrate(MigrateCommand::Reset(args)) => commands::migrate::reset(&args).await,
        Command::Admin(AdminCommand::Seed(args)) => commands::admin::seed(&args).await,
        Command::Admin(AdminCommand::Create(args)) => commands::admin::create(&args).await,
        Command::Stock(StockCommand::Adjust(args)) => commands::stock::adjust(&args).await,
        Command::Orders(OrdersCommand::Watch(args)) => commands::orders::watch(&args).await,
        Command::Orders(OrdersCommand::Refund(args)) => commands::refund::request(&args).await,
        Command::Users(UsersCommand::Revoke(args)) => commands::users::revoke(&args).await,
        Command::Keys(KeysCommand::Rotate(args)) => commands::keys::rotate(&args).await,
        Command::Keys(KeysCommand::List(args)) => commands::keys::list(&args).await,
        Command::Keys(KeysCommand::Retire(args)) => commands::keys::retire(&args).await,
        Command::Jobs(JobsCommand::List(args)) => commands::jobs::list(&args).await,
        Command::Jobs(JobsCommand::Show(args)) => commands::jobs::show(&args).await,
        Command::Jobs(JobsCommand::Pause(args)) => commands::pause::pause(&args).await,
        Command::Jobs(JobsCommand::Resume(args)) => commands::pause::resume(&args).await,
        Command::Jobs(JobsCommand::Dead(DeadCommand::List(args))) => commands::dead::list(&args).await,
        Command::Jobs(JobsCommand::Dead(DeadCommand::Retry(args))) => commands::dead::retry(&args).await,
        Command::Jobs(JobsCommand::Dead(DeadCommand::Discard(args))) => commands::dead::discard(&args).await,
        Command::Jobs(JobsCommand::Reconcile(args)) => commands::reconcile::run(&args).await,
        Command::Payments(PaymentsCommand::Reconcile(args)) => commands::payments::reconcile(&args).await,
        Command::Workers(WorkersCommand::List(args)) => commands::workers::list(&args).await,
        Command::Verify(args) => commands::verify::run(&args).await,
        Command::Openapi => commands::openapi::print(),
    };
    result.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}
