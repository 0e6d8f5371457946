//! The command line. The doc comments here are the help that `--help` prints.

mod jobs;
mod keys;
mod orders;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use shop_common::id::ProductId;
use shop_common::reason::Reason;

pub(crate) use self::jobs::{
    ChosenArgs, DeadCommand, DeadDiscardArgs, DeadListArgs, DeadRetryArgs, JobStateArg, JobsCommand, JobsListArgs,
    JobsPauseArgs, JobsReconcileArgs, JobsShowArgs, WorkersCommand,
};

pub(crate) use self::keys::{KeysCommand, KeysRetireArgs};
pub(crate) use self::orders::{OrdersCommand, OrdersRefundArgs, OrdersWatchArgs, UsersCommand, UsersRevokeArgs};
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
  shopctl admin create --email eve@example.com"
    )]
    Admin(AdminCommand),

    /// How much there is of a product
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl stock adjust 01890000-0000-7000-8000-000000000000 -2 --reason 'two were broken'"
    )]
    Stock(StockCommand),

    /// What customers have ordered
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl orders watch --all
  shopctl orders refund 01890000-0000-7000-8000-000000000000 --restock"
    )]
    Orders(OrdersCommand),

    /// Who has an account
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl users revoke eve@example.com"
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
  shopctl jobs list --state scheduled
  shopctl jobs dead list
  shopctl jobs pause --reason 'the gateway is down for an hour'"
    )]
    Jobs(JobsCommand),

    /// What the payment gateway has charged
    #[command(
        subcommand,
        after_help = "\
Examples:
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

    /// Print the OpenAPI document of the API
    ///
    /// It is the one that a running api gives at /openapi.json.
    #[command(after_help = "\
Examples:
  shopctl openapi > openapi.json
  shopctl openapi | jq -r '.paths | keys[]'")]
    Openapi,
}

/// The forms in which most commands print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
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

/// Options of `shopctl verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Repair what can be repaired with proof, and check again
    #[arg(long)]
    pub(crate) repair: bool,

    /// Only say what would be repaired
    #[arg(long, requires = "repair")]
    pub(crate) dry_run: bool,
}

/// Options of `shopctl up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) home: DirArgs,

    /// Port of the first api; further ones take the ports after it
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,

    /// How many workers to run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(..=64))]
    pub(crate) workers: u16,

    /// How many apis to run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) apis: u16,

    /// Return once the shop is ready and leave it running
    #[arg(long)]
    pub(crate) detach: bool,

    /// Start without the sample catalogue
    #[arg(long)]
    pub(crate) empty: bool,

    /// Install missing servers without asking
    #[arg(long)]
    pub(crate) yes: bool,

    /// Set on the process that `--detach` leaves running.
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub(crate) detached: bool,
}

/// Options of `shopctl down`.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    pub(crate) home: DirArgs,
}

/// Options of `shopctl status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) home: DirArgs,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t = StatusFormat::Table)]
    pub(crate) output: StatusFormat,
}

/// The forms `shopctl status` can print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusFormat {
    /// For people
    Table,
    /// For programs
    Json,
    /// For a shell: NAME=value lines, with the passwords in the URLs
    Env,
}

/// The commands below `shopctl services`.
#[derive(Debug, Subcommand)]
pub(crate) enum ServicesCommand {
    /// Run COMMAND with a PostgreSQL and a Redis of its own
    ///
    /// Both start empty on free ports, COMMAND finds them in DATABASE_URL and
    /// REDIS_URL, and everything is gone when it ends. Leaves with COMMAND's
    /// exit code. Servers that are already named in the environment are used
    /// instead.
    #[command(after_help = "\
Examples:
  shopctl services run -- cargo test
  shopctl services run -- sh -c 'psql \"$DATABASE_URL\" -c \"select version()\"'")]
    Run(ServicesRunArgs),
}

/// Options of `shopctl services run`.
#[derive(Debug, Args)]
pub(crate) struct ServicesRunArgs {
    /// Install missing servers without asking
    #[arg(long)]
    pub(crate) yes: bool,

    /// What to run, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// The commands below `shopctl migrate`.
#[derive(Debug, Subcommand)]
pub(crate) enum MigrateCommand {
    /// Apply the migrations that are missing
    ///
    /// Two at once are one: the second waits for the first. A database that is
    /// migrated for the first time is marked with what it is for, development
    /// or production.
    #[command(after_help = "\
Examples:
  shopctl migrate run
  DATABASE_URL=postgres://… REDIS_URL=redis://… shopctl migrate run")]
    Run(MigrateRunArgs),

    /// List the migrations and whether the database has them
    #[command(after_help = "\
Examples:
  shopctl migrate status
  shopctl migrate status -o json")]
    Status(ShopArgs),

    /// Write the next migration, for developers
    #[command(after_help = "\
Examples:
  shopctl migrate new 'add sku'")]
    New(MigrateNewArgs),

    /// Delete the whole shop and start afresh
    ///
    /// Asks first, and refuses a database that is not marked development.
    #[command(after_help = "\
Examples:
  shopctl migrate reset
  shopctl migrate reset --yes")]
    Reset(MigrateResetArgs),
}

/// Options of `shopctl migrate run`.
#[derive(Debug, Args)]
pub(crate) struct MigrateRunArgs {
    #[command(flatten)]
    pub(crate) home: DirArgs,
}

/// Options of `shopctl migrate new`.
#[derive(Debug, Args)]
pub(crate) struct MigrateNewArgs {
    /// What it does, in a few words
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// Options of `shopctl migrate reset`.
#[derive(Debug, Args)]
pub(crate) struct MigrateResetArgs {
    #[command(flatten)]
    pub(crate) home: DirArgs,

    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// The commands below `shopctl admin`.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Create the first admin, admin@example.com
    ///
    /// In development its password is `password`; in production it is random
    /// and shown this once. Does nothing where there is an admin already.
    #[command(after_help = "\
Examples:
  shopctl admin seed")]
    Seed(ShopArgs),

    /// Create another admin
    ///
    /// With a random password that is shown this once, or with one from stdin.
    #[command(after_help = "\
Examples:
  shopctl admin create --email eve@example.com
  shopctl admin create --email eve@example.com --password-stdin < password.txt")]
    Create(AdminCreateArgs),
}

/// Options of `shopctl admin create`.
#[derive(Debug, Args)]
pub(crate) struct AdminCreateArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Their email
    #[arg(long)]
    pub(crate) email: String,

    /// What to call them
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// Read the password from stdin instead of making one up
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// The commands below `shopctl stock`.
#[derive(Debug, Subcommand)]
pub(crate) enum StockCommand {
    /// Change the stock of a product, and record why
    #[command(after_help = "\
Examples:
  shopctl stock adjust 01890000-0000-7000-8000-000000000000 20 --reason 'delivery 4711'
  shopctl stock adjust 01890000-0000-7000-8000-000000000000 -2 --reason 'two were broken'")]
    Adjust(StockAdjustArgs),
}

/// Options of `shopctl stock adjust`.
#[derive(Debug, Args)]
pub(crate) struct StockAdjustArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Which product
    #[arg(value_name = "PRODUCT")]
    pub(crate) product: ProductId,

    /// By how much, for example 20 or -2
    #[arg(value_name = "DELTA", allow_negative_numbers = true)]
    pub(crate) delta: i64,

    /// Why, in a few words
    #[arg(long)]
    pub(crate) reason: Reason,
}

/// The commands below `shopctl payments`.
#[derive(Debug, Subcommand)]
pub(crate) enum PaymentsCommand {
    /// Compare the gateway's ledger with the shop's payments
    ///
    /// Only a worker can ask the gateway, so this asks a worker to, and waits
    /// for it. Money that the gateway has captured and that no order is paid
    /// with is given back, for example after an older backup was restored.
    /// Whatever is less clear is only shown. Leaves with 1 when there are
    /// findings. Workers do the same by themselves each hour.
    #[command(after_help = "\
Examples:
  shopctl payments reconcile
  shopctl payments reconcile -o json")]
    Reconcile(ShopArgs),
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
