//! The command line. The doc comments here are the help that `--help` prints.
//!
//! A file for each noun; here is what they share.

pub(crate) mod admin;
pub(crate) mod config;
pub(crate) mod docs;
pub(crate) mod doctor;
#[cfg(test)]
mod help;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod logs;
pub(crate) mod migrate;
pub(crate) mod orders;
mod page;
pub(crate) mod payments;
pub(crate) mod products;
pub(crate) mod products_import;
pub(crate) mod stack;
pub(crate) mod stock;
pub(crate) mod typed;
pub(crate) mod users;
pub(crate) mod verify;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use self::admin::AdminCommand;
use self::config::ConfigCommand;
use self::docs::{CompletionsArgs, ManArgs};
use self::doctor::DoctorArgs;
use self::jobs::{JobsCommand, WorkersCommand};
use self::keys::KeysCommand;
use self::logs::LogsArgs;
use self::migrate::MigrateCommand;
use self::orders::OrdersCommand;
pub(crate) use self::page::PageArgs;
use self::payments::PaymentsCommand;
use self::products::ProductsCommand;
use self::stack::{DownArgs, ServicesCommand, StatusArgs, UpArgs};
use self::stock::StockCommand;
use self::users::UsersCommand;
use self::verify::VerifyArgs;
use crate::exit::EXIT_CODES;

/// Runs and looks after a shop.
#[derive(Debug, Parser)]
#[command(name = "shopctl", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Everything shopctl can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole shop: servers, apis and workers, in one terminal
    ///
    /// PostgreSQL and Redis are private to this shop: they listen on 127.0.0.1
    /// only and keep their data below DIR, where the next start finds it again.
    /// Where DATABASE_URL or REDIS_URL is set, that server is used instead.
    /// Ctrl-C stops everything; a second Ctrl-C hastens it.
    #[command(after_help = "\
Examples:
  shopctl up                        a shop on http://127.0.0.1:3000
  shopctl up --apis 2 --workers 4   more copies; the apis take ports 3000 and 3001
  shopctl up --detach               go on in the background; log in .shop/shop.log
  DATABASE_URL=postgres://… shopctl up   with a PostgreSQL of your own")]
    Up(UpArgs),

    /// Stop the shop that `up` started
    #[command(after_help = "\
Examples:
  shopctl down
  shopctl down --dir /srv/shop")]
    Down(DownArgs),

    /// Say what runs, where, and whether it answers
    ///
    /// A service is `ready` when it answers, `running` while its process is
    /// there but does not answer yet, and `away` otherwise.
    #[command(after_help = "\
Examples:
  shopctl status
  shopctl status -o json
  eval \"$(shopctl status -o env)\"; psql \"$DATABASE_URL\"")]
    Status(StatusArgs),

    /// Read what a shop in the background has written
    ///
    /// The log of a shop that was started with `up --detach`, the newest lines last. Ctrl-C ends --follow, with the
    /// code that a shell gives it (130).
    #[command(after_help = "\
Examples:
  shopctl logs
  shopctl logs api --level warn
  shopctl logs worker-1 --follow --lines 0")]
    Logs(LogsArgs),

    /// Private PostgreSQL and Redis without the shop
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl services run -- cargo test"
    )]
    Services(ServicesCommand),

    /// The schema of the database
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl migrate run
  shopctl migrate status"
    )]
    Migrate(MigrateCommand),

    /// Who keeps the shop
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl admin seed
  shopctl admin create --email eve@example.com
  shopctl admin password"
    )]
    Admin(AdminCommand),

    /// What is sold
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl products list --search 'enamel mug'
  shopctl products show 01890000-0000-7000-8000-000000000000
  shopctl products import spring.csv"
    )]
    Products(ProductsCommand),

    /// How much there is of a product
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl stock low
  shopctl stock adjust 01890000-0000-7000-8000-000000000000 -2 --reason 'two were broken'"
    )]
    Stock(StockCommand),

    /// What customers have ordered
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl orders list --status failed --since 24h
  shopctl orders show 01890000-0000-7000-8000-000000000000
  shopctl orders watch --all"
    )]
    Orders(OrdersCommand),

    /// Who has an account
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl users list --role admin
  shopctl users show eve@example.com"
    )]
    Users(UsersCommand),

    /// What signs access tokens
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl keys list
  shopctl keys rotate"
    )]
    Keys(KeysCommand),

    /// What is to be done later, and what came of it
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl jobs top
  shopctl jobs list --needs-operator
  shopctl jobs pause --reason 'the gateway is down for an hour'"
    )]
    Jobs(JobsCommand),

    /// What the payment gateway has charged
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl payments list --status failed --since 24h
  shopctl payments reconcile"
    )]
    Payments(PaymentsCommand),

    /// Who does the jobs
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl workers list"
    )]
    Workers(WorkersCommand),

    /// Check that every number adds up
    ///
    /// Asks the books in one snapshot, so a shop that runs can be verified.
    /// Leaves with 1, and shows the rows, when an invariant is broken.
    ///
    /// With --repair, what can be repaired with proof is repaired first: an open
    /// order, or one to be refunded, without a job gets one, under the payment's own
    /// key, and a scheduled job of an order that has ended is cancelled. All else is
    /// only reported.
    #[command(after_help = "\
Examples:
  shopctl verify
  shopctl verify -o json
  shopctl verify --repair --dry-run")]
    Verify(VerifyArgs),

    /// Look everything over, and say what to do about what is wrong
    ///
    /// Asks both servers, and the apis and workers that run here: versions, migrations, durability, eviction, clocks,
    /// secrets, the schedule, orders that nobody works on, room on the disk. A check is `ok`, `WARNING`, `FAILED`, or
    /// `unknown` where the server does not tell or is away; each that is not ok names its fix. Leaves with 1 when
    /// one has failed.
    #[command(after_help = "\
Examples:
  shopctl doctor
  shopctl doctor --json | jq -r '.[] | select(.verdict != \"ok\")'")]
    Doctor(DoctorArgs),

    /// The settings
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl config show"
    )]
    Config(ConfigCommand),

    /// Print the OpenAPI document of the API
    ///
    /// It is the one that a running api gives at /openapi.json.
    #[command(after_help = "\
Examples:
  shopctl openapi > openapi.json
  shopctl openapi | jq -r '.paths | keys[]'")]
    Openapi,

    /// Print the JSON Schema of what commands print
    ///
    /// `.commands` has an entry for each command that takes `-o json`: the shape of what it prints then. With
    /// `-o jsonl`, a list is one such item a line, and anything else is the same on one line.
    #[command(after_help = "\
Examples:
  shopctl schema
  shopctl schema | jq '.commands[\"jobs list\"]'")]
    Schema,

    /// Print what a shell needs to complete commands and options
    #[command(after_help = "\
Examples:
  source <(shopctl completions bash)
  shopctl completions zsh > ~/.zfunc/_shopctl
  shopctl completions fish > ~/.config/fish/completions/shopctl.fish")]
    Completions(CompletionsArgs),

    /// Print the manual, or write a page for each command
    #[command(after_help = "\
Examples:
  shopctl man | man -l -
  shopctl man /usr/local/share/man/man1")]
    Man(ManArgs),
}

/// The forms in which most commands print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs: one document
    Json,
    /// For programs: a line for each item
    Jsonl,
}

/// Where a shop keeps what is its own.
#[derive(Debug, Args)]
pub(crate) struct DirArgs {
    /// Folder of the shop: its data, secrets and state
    #[arg(long, value_name = "DIR", default_value = ".shop")]
    pub(crate) dir: PathBuf,
}

/// Which shop, and how to print what it says.
#[derive(Debug, Args)]
pub(crate) struct ShopArgs {
    #[command(flatten)]
    pub(crate) home: DirArgs,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// How to go about what cannot be undone.
#[derive(Debug, Args)]
pub(crate) struct ConsentArgs {
    /// Only say what would be touched
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask. In production, --confirm says it instead
    #[arg(long)]
    pub(crate) yes: bool,

    /// Do not ask, also in production: the name of the database
    #[arg(long, value_name = "NAME")]
    pub(crate) confirm: Option<String>,
}

impl ConsentArgs {
    /// Whether nobody need be asked.
    pub(crate) fn is_given(&self) -> bool {
        self.yes || self.confirm.is_some()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        fn check(command: &clap::Command) {
            for sub in command.get_subcommands() {
                let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.starts_with("Examples:"), "{} has no examples", sub.get_name());
                check(sub);
            }
        }
        check(&Cli::command());
    }

    #[test]
    fn a_command_keeps_its_own_flags() {
        let cli = Cli::try_parse_from(["shopctl", "services", "run", "--", "psql", "--yes"]).unwrap();
        let Command::Services(ServicesCommand::Run(args)) = cli.command else { panic!("not services run") };
        assert_eq!(args.command, ["psql", "--yes"]);
        assert!(!args.yes);
    }

    #[test]
    fn a_shop_has_at_least_one_api() {
        assert!(Cli::try_parse_from(["shopctl", "up", "--apis", "0"]).is_err());
        assert!(Cli::try_parse_from(["shopctl", "up", "--workers", "0"]).is_ok());
    }
}
