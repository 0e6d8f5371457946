//! The command line of `shopctl jobs` and `shopctl workers`.

mod filter;
mod options;

use clap::Subcommand;

pub(crate) use self::options::{
    JobsActArgs, JobsCancelArgs, JobsDrainArgs, JobsHistoryArgs, JobsListArgs, JobsPauseArgs, JobsPruneArgs,
    JobsReconcileArgs, JobsShowArgs, JobsTopArgs,
};
use super::ShopArgs;

/// The commands below `shopctl jobs`.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// Count jobs by kind and state, and say how late they are
    ///
    /// `late` is how long jobs that are due have been waiting by now; `begun late` is how
    /// late the jobs were that workers began between their last two heartbeats.
    /// All jobs are counted, finished ones too: `jobs top --once` looks only at those that live.
    #[command(after_help = "\
Examples:
  shopctl jobs stats
  shopctl jobs stats -o json | jq .due.oldestSeconds")]
    Stats(ShopArgs),

    /// List jobs, newest first
    ///
    /// Where there is more, the last line on stderr says how to go on. Filters on the error or
    /// the payload look at each job that the others leave: together with --state they are fast.
    #[command(after_help = "\
Examples:
  shopctl jobs list --needs-operator
  shopctl jobs list --sort error --error timeout
  shopctl jobs list --state scheduled --sort run-at
  shopctl jobs list --state dead,cancelled --older-than 7d --limit 100 -o jsonl
  shopctl jobs list --payload '{\"paymentId\":\"01890000-0000-7000-8000-000000000000\"}'")]
    List(JobsListArgs),

    /// Show a job, its attempts, who has it, and whether PostgreSQL and Redis agree about it
    #[command(after_help = "\
Examples:
  shopctl jobs show 01890000-0000-7000-8000-000000000000")]
    Show(JobsShowArgs),

    /// Schedule dead jobs again
    ///
    /// Only jobs whose orders are open or to be refunded (`jobs list --needs-operator`). Those
    /// that are named are retried all or none. With --all, how many there are is said first, and
    /// asked; then they go page by page, and what is done stays done if it is stopped.
    /// A job that has reached a limit (attempts, crashes, age) is voided and not charged;
    /// one that refunds is tried again, whatever it has been through.
    #[command(after_help = "\
Examples:
  shopctl jobs retry 01890000-0000-7000-8000-000000000000
  shopctl jobs retry --all --dry-run
  shopctl jobs retry --all --kind refund_payment --error nothing_captured")]
    Retry(JobsActArgs),

    /// Make scheduled jobs due now
    ///
    /// For jobs that wait for their next try, for example because the gateway was away and is
    /// back. Nothing else about them changes. While claiming is paused, they wait all the same.
    #[command(after_help = "\
Examples:
  shopctl jobs run-now 01890000-0000-7000-8000-000000000000
  shopctl jobs run-now --all --error gateway_timeout --yes")]
    RunNow(JobsActArgs),

    /// Give the orders of dead or scheduled jobs up
    ///
    /// The workers void the payments, as soon as they can: an order has then FAILED and its
    /// stock is back, or it is COMPLETED, if the gateway says that it was charged already.
    /// A job that a worker has in hand comes to its own end and is left alone.
    /// A refund is owed and cannot be given up: --all passes it over.
    /// To give up only those that have stopped in the middle, say --state dead.
    #[command(after_help = "\
Examples:
  shopctl jobs cancel --all --state dead --dry-run
  shopctl jobs cancel 01890000-0000-7000-8000-000000000000 --reason sold_elsewhere --yes
  shopctl jobs cancel --all --older-than 2h --error gateway_timeout")]
    Cancel(JobsCancelArgs),

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
    /// `jobs drain --in-hand` waits until nothing is in hand any more.
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

    /// Wait until no job is due and none is in hand
    ///
    /// What one does before maintenance. There are two ways: `jobs drain` lets everything be
    /// worked off, and ends at the first moment at which nothing waits, while orders go on
    /// coming. `jobs pause` and then `jobs drain --in-hand` stops now: it waits only for what
    /// workers have in hand (\"quiet\" elsewhere), and what is due waits for `jobs resume`.
    /// Jobs that are scheduled for later are not waited for, but counted.
    /// Leaves with 5 when it is not reached in time, and at once when claiming is paused and
    /// --in-hand is not said, because nothing that is due would move.
    #[command(after_help = "\
Examples:
  shopctl jobs drain --timeout 10m
  shopctl jobs pause --reason 'a new kernel' && shopctl jobs drain --in-hand")]
    Drain(JobsDrainArgs),

    /// What came of attempts lately, newest first
    ///
    /// Charges one by one, whatever came of them; of refunds only those that are done. `jobs list
    /// --sort error` shows what waits for another try.
    #[command(after_help = "\
Examples:
  shopctl jobs history --since 15m
  shopctl jobs history --outcome declined --code card_declined -o jsonl
  shopctl jobs history --order 01890000-0000-7000-8000-000000000000")]
    History(JobsHistoryArgs),

    /// Watch the jobs: how many, how late, how fast, what fails, who does them
    ///
    /// Refreshes until q or Ctrl-C. What workers tell is as of their last heartbeats, which are
    /// a third of a lease apart.
    #[command(after_help = "\
Examples:
  shopctl jobs top
  shopctl jobs top --interval 500ms
  shopctl jobs top --once -o json")]
    Top(JobsTopArgs),

    /// Delete finished jobs that are old, and what came of their attempts
    ///
    /// Only of orders that have ended and whose refund, if they have one, is done. Orders,
    /// payments, their timelines and the books of `verify` are not touched; what
    /// `jobs list`, `show` and `history` know of these jobs is lost.
    #[command(
        mut_arg("older_than", |age| age.required(true).help("How long ago they must have ended, 1h at least: 30d, 1year")),
        after_help = "\
Examples:
  shopctl jobs prune --older-than 90d --dry-run
  shopctl jobs prune --older-than 90d --state cancelled,dead --yes"
    )]
    Prune(JobsPruneArgs),

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

/// The commands below `shopctl workers`.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkersCommand {
    /// List the workers, the oldest first
    ///
    /// A worker is silent when its last heartbeat is older than a lease; others
    /// then take up its jobs. After ten leases it is forgotten. What it has settled, and
    /// how late the jobs were that it began, is as of its last heartbeat.
    #[command(after_help = "\
Examples:
  shopctl workers list
  shopctl workers list -o json")]
    List(ShopArgs),
}
