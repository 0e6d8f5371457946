//! Which jobs a command is about: the options that `list` and everything that acts on many jobs share.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;
use shop_common::id::{JobId, OrderId};
use shop_common::jobs::filter::JobFilter;
use shop_common::jobs::{JobState, Task};

/// Which jobs: those to which all that is given applies.
#[derive(Debug, Args)]
pub(crate) struct JobFilterArgs {
    /// Only jobs of this kind
    #[arg(long, value_enum)]
    kind: Option<JobKindArg>,

    /// Only jobs in this state, or in one of several
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STATE")]
    state: Vec<JobStateArg>,

    /// Only jobs whose last error contains this
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,

    /// Only jobs of this order
    #[arg(long)]
    order: Option<OrderId>,

    /// Only jobs that were made longer ago than this: 15m, 2h, 7d
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,

    /// Only jobs whose payload contains this JSON
    #[arg(long, value_name = "JSON", value_parser = read_json)]
    payload: Option<Value>,
}

/// Left to itself, clap takes any text for a JSON string.
fn read_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

impl JobFilterArgs {
    /// As the shop knows it.
    pub(crate) fn filter(&self) -> JobFilter {
        JobFilter {
            task: self.kind.map(JobKindArg::task),
            states: self.state.iter().map(|state| state.state()).collect(),
            error: self.error.clone(),
            order: self.order,
            older_than: self.older_than,
            payload: self.payload.clone(),
        }
    }
}

/// Jobs by name, or all that match.
#[derive(Debug, Args)]
pub(crate) struct ChosenArgs {
    /// Which jobs: all of them or none
    #[arg(value_name = "JOB", required_unless_present = "all", conflicts_with_all = ["all", "JobFilterArgs"])]
    pub(crate) jobs: Vec<JobId>,

    /// All jobs that match, or all to which it can be done
    #[arg(long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) filter: JobFilterArgs,
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

impl JobStateArg {
    fn state(self) -> JobState {
        match self {
            Self::Scheduled => JobState::Scheduled,
            Self::Running => JobState::Running,
            Self::Completed => JobState::Completed,
            Self::Dead => JobState::Dead,
            Self::Cancelled => JobState::Cancelled,
        }
    }
}

/// The kinds of jobs, as they are typed and as the table has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum JobKindArg {
    /// Charges the payment of an order
    #[value(name = "charge_payment")]
    Charge,
    /// Gives a charged payment back
    #[value(name = "refund_payment")]
    Refund,
}

impl JobKindArg {
    /// As the shop knows it.
    pub(crate) fn task(self) -> Task {
        match self {
            Self::Charge => Task::Charge,
            Self::Refund => Task::Refund,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_states_are_typed_as_the_table_has_them() {
        for kind in JobKindArg::value_variants() {
            assert_eq!(kind.to_possible_value().unwrap().get_name(), kind.task().kind());
        }
        for state in JobStateArg::value_variants() {
            assert_eq!(state.to_possible_value().unwrap().get_name(), state.state().as_str());
        }
    }
}
