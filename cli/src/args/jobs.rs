//! The command line of `shopctl jobs` and `shopctl workers`.

use clap::{Args, Subcommand, ValueEnum};
use shop_common::id::{JobId, OrderId};
use shop_common::reason::Reason;

use super::{ConsentArgs, ShopArgs};

/// The commands below `shopctl jobs`.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs, newest first
    #[command(after_help = "\
Examples:
  shopctl jobs list
  shopctl jobs list --state dead --limit 100 -o json")]
    List(JobsListArgs),

    /// Show a job, its attempts, and whether PostgreSQL and Redis agree about it
    #[command(after_help = "\
Examples:
  shopctl jobs show 01890000-0000-7000-8000-000000000000")]
    Show(JobsShowArgs),

    /// Let no worker start a job until `resume`
    ///
    /// Jobs in hand end as usual, and orders are accepted as usual: they wait.
    /// Audits stop too: none begins, and none asks for another refund.
    /// To pause twice is to pause once. It holds at once; the command then waits for
    /// claims that began before, and leaves with 5 when one has not ended after 30 s.
    ///
    /// All workers must be of this version: an older one does not know of pauses.
    /// After a long pause, orders that were tried before and are older than a day
    /// (`jobs.give_up_after_seconds`) are voided at their next claim, not charged.
    /// A pause does not make it safe to change the gateway: a payment whose key is
    /// open at the old one would be charged again at a new one.
    #[command(after_help = "\
Examples:
  shopctl jobs pause --reason 'the gateway is down for an hour'
  shopctl jobs resume")]
    Pause(JobsPauseArgs),

    /// Let the workers start jobs again, after `pause`
    #[command(after_help = "\
Examples:
  shopctl jobs resume")]
    Resume(ShopArgs),

    /// Dead jobs whose orders are still open or to be refunded: list them, try them again, or give them up
    #[command(
        subcommand,
        after_help = "\
Examples:
  shopctl jobs dead list
  shopctl jobs dead retry 01890000-0000-7000-8000-000000000000
  shopctl jobs dead discard --all --dry-run"
    )]
    Dead(DeadCommand),

    /// Compare the jobs in PostgreSQL with the schedule in Redis
    ///
    /// The workers do this all the time for what is due; this looks at everything.
    /// Leaves with 1 when a job is missing that should be there.
    #[command(after_help = "\
Examples:
  shopctl jobs reconcile
  shopctl jobs reconcile --fix")]
    Reconcile(JobsReconcileArgs),
}

/// Options of `shopctl jobs list`.
#[derive(Debug, Args)]
pub(crate) struct JobsListArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Only jobs in this state
    #[arg(long, value_enum)]
    pub(crate) state: Option<JobStateArg>,

    /// Only jobs of this order
    #[arg(long)]
    pub(crate) order: Option<OrderId>,

    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: u32,
}

/// The states of a job, as they are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum JobStateArg {
    /// Waits for its time
    Scheduled,
    /// A worker has it
    Running,
    /// Done
    Completed,
    /// Given up
    Dead,
    /// Not needed any more
    Cancelled,
}

/// Options of `shopctl jobs show`.
#[derive(Debug, Args)]
pub(crate) struct JobsShowArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Which job
    #[arg(value_name = "JOB")]
    pub(crate) id: JobId,
}

/// Options of `shopctl jobs pause`.
#[derive(Debug, Args)]
pub(crate) struct JobsPauseArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Why, in a few words
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<Reason>,
}

/// Options of `shopctl jobs reconcile`.
#[derive(Debug, Args)]
pub(crate) struct JobsReconcileArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Only say what differs, which is what happens without an option, too
    #[arg(long, conflicts_with = "fix")]
    pub(crate) check: bool,

    /// Schedule what is not there, and remove what should not be
    #[arg(long)]
    pub(crate) fix: bool,
}

/// The commands below `shopctl jobs dead`.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// List dead jobs that need an operator, newest first
    #[command(after_help = "\
Examples:
  shopctl jobs dead list
  shopctl jobs dead list --all -o json")]
    List(DeadListArgs),

    /// Schedule dead jobs again
    ///
    /// Only jobs whose orders are open or to be refunded, and all that are named or none.
    /// A job that has reached a limit (attempts, crashes, age) is voided and not charged;
    /// one that refunds is tried again, whatever it has been through.
    #[command(after_help = "\
Examples:
  shopctl jobs dead retry 01890000-0000-7000-8000-000000000000
  shopctl jobs dead retry --all")]
    Retry(DeadRetryArgs),

    /// Give the orders of dead jobs up
    ///
    /// The workers void the payments. An order has then FAILED and its stock is
    /// back, or it is COMPLETED, if the gateway says that it was charged already.
    /// A refund is owed and cannot be given up: --all passes it over.
    #[command(after_help = "\
Examples:
  shopctl jobs dead discard --all --dry-run
  shopctl jobs dead discard 01890000-0000-7000-8000-000000000000 --reason sold_elsewhere --yes")]
    Discard(DeadDiscardArgs),
}

/// Options of `shopctl jobs dead list`.
#[derive(Debug, Args)]
pub(crate) struct DeadListArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Also those that have come to a normal end: declined, or voided
    #[arg(long)]
    pub(crate) all: bool,

    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: u32,
}

/// Which dead jobs to bring back.
#[derive(Debug, Args)]
pub(crate) struct ChosenArgs {
    /// Which jobs
    #[arg(value_name = "JOB", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) jobs: Vec<JobId>,

    /// All that `dead list` shows
    #[arg(long)]
    pub(crate) all: bool,
}

/// Options of `shopctl jobs dead retry`.
#[derive(Debug, Args)]
pub(crate) struct DeadRetryArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    #[command(flatten)]
    pub(crate) chosen: ChosenArgs,
}

/// Options of `shopctl jobs dead discard`.
#[derive(Debug, Args)]
pub(crate) struct DeadDiscardArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    #[command(flatten)]
    pub(crate) chosen: ChosenArgs,

    /// Why, in a few words; the customer sees it with the payment
    #[arg(long, value_name = "TEXT", default_value = "given_up_by_the_shop")]
    pub(crate) reason: Reason,

    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// The commands below `shopctl workers`.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkersCommand {
    /// List the workers, the oldest first
    ///
    /// A worker is silent when its last heartbeat is older than a lease; others
    /// then take up its jobs. After ten leases it is forgotten.
    #[command(after_help = "\
Examples:
  shopctl workers list
  shopctl workers list -o json")]
    List(ShopArgs),
}
