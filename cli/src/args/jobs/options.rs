//! The options of the commands below `shopctl jobs`.

use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use shop_common::id::{JobId, OrderId};
use shop_common::jobs::list::Sort;
use shop_common::reason::Reason;

use super::filter::{ChosenArgs, JobFilterArgs, JobKindArg};
use crate::args::{ConsentArgs, ShopArgs};

/// Which part of a list.
#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = RangedU64ValueParser::<u32>::new().range(1..=100_000))]
    pub(crate) limit: u32,

    /// Go on where a list ended: what it said there
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
}

/// Options of `shopctl jobs list`.
#[derive(Debug, Args)]
pub(crate) struct JobsListArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    #[command(flatten)]
    pub(crate) filter: JobFilterArgs,

    /// Only dead jobs whose orders are open or to be refunded
    #[arg(long, conflicts_with = "state")]
    pub(crate) needs_operator: bool,

    /// In what order
    #[arg(long, value_enum, default_value_t = SortArg::Newest)]
    pub(crate) sort: SortArg,

    #[command(flatten)]
    pub(crate) page: PageArgs,
}

/// How a list of jobs can be sorted, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SortArg {
    /// The newest first
    Newest,
    /// Only jobs with an error, the latest error first
    Error,
    /// Only scheduled jobs, the one that is due first
    RunAt,
    /// The one that changed last first
    Updated,
}

impl SortArg {
    /// As the shop knows it.
    pub(crate) fn sort(self) -> Sort {
        match self {
            Self::Newest => Sort::Newest,
            Self::Error => Sort::Error,
            Self::RunAt => Sort::RunAt,
            Self::Updated => Sort::Updated,
        }
    }
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

/// Options of `shopctl jobs retry` and `run-now`.
#[derive(Debug, Args)]
pub(crate) struct JobsActArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    #[command(flatten)]
    pub(crate) chosen: ChosenArgs,

    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// Options of `shopctl jobs cancel`.
#[derive(Debug, Args)]
pub(crate) struct JobsCancelArgs {
    #[command(flatten)]
    pub(crate) act: JobsActArgs,

    /// Why, in a few words; the customer sees it with the payment
    #[arg(long, value_name = "TEXT", default_value = "given_up_by_the_shop")]
    pub(crate) reason: Reason,
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

/// Options of `shopctl jobs drain`.
#[derive(Debug, Args)]
pub(crate) struct JobsDrainArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Wait only for what workers have in hand, after `jobs pause`
    #[arg(long)]
    pub(crate) in_hand: bool,

    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

/// Options of `shopctl jobs history`.
#[derive(Debug, Args)]
pub(crate) struct JobsHistoryArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Only of jobs of this kind
    #[arg(long, value_enum)]
    pub(crate) kind: Option<JobKindArg>,

    /// Only attempts that came to this
    #[arg(long, value_enum)]
    pub(crate) outcome: Option<OutcomeArg>,

    /// Only attempts with this code, for example card_declined
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<String>,

    /// Only of this order
    #[arg(long)]
    pub(crate) order: Option<OrderId>,

    /// Only so long ago at most: 15m, 2h, 7d
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) since: Option<Duration>,

    #[command(flatten)]
    pub(crate) page: PageArgs,
}

/// What an attempt can come to, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutcomeArg {
    /// Paid
    Approved,
    /// Not paid
    Declined,
    /// It went wrong, and can be tried again
    Transient,
    /// No answer that says anything
    Unknown,
    /// The key is dead: it will never be paid
    Voided,
    /// The money goes back
    Refunded,
}

impl OutcomeArg {
    /// As the table has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Transient => "transient",
            Self::Unknown => "unknown",
            Self::Voided => "voided",
            Self::Refunded => "refunded",
        }
    }
}

/// Options of `shopctl jobs top`.
#[derive(Debug, Args)]
pub(crate) struct JobsTopArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Look once, which is also what happens where there is no terminal
    #[arg(long)]
    pub(crate) once: bool,

    /// How often to look
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = interval)]
    pub(crate) interval: Duration,
}

/// A look costs a few queries: not more often than ten times a second.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if interval < Duration::from_millis(100) { Err("it must be 100ms or longer".to_owned()) } else { Ok(interval) }
}

/// Options of `shopctl jobs prune`, of which the age is not one.
#[derive(Debug, Args)]
pub(crate) struct JobsPruneArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    #[command(flatten)]
    pub(crate) filter: JobFilterArgs,

    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_typed_as_the_table_has_them() {
        for outcome in OutcomeArg::value_variants() {
            assert_eq!(outcome.to_possible_value().unwrap().get_name(), outcome.as_str());
        }
    }
}
