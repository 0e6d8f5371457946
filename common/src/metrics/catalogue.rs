//! The catalogue: every metric of both daemons, once. What is described to Prometheus, which series there are from the
//! start, and the table of `docs/metrics.md` all come from here.

mod api;
mod both;
mod worker;

use std::fmt::Write as _;

use metrics::Unit;

/// A daemon that exports metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    /// `shop-api`.
    Api,
    /// `shop-worker`.
    Worker,
}

/// What Prometheus calls the type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only rises while the process lives.
    Counter,
    /// As it is at the moment.
    Gauge,
    /// How many were at most so large.
    Histogram(&'static [f64]),
}

impl Kind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// By what the series of a metric are told apart. No value is made of what clients send, so there are only so many.
#[derive(Debug, Clone, Copy)]
pub enum Labels {
    /// There is one series.
    None,
    /// One label with these values.
    Each(&'static str, &'static [&'static str]),
    /// Each value of the first label with each of the second.
    Product((&'static str, &'static [&'static str]), (&'static str, &'static [&'static str])),
    /// Two labels: for each value of the first its own values of the second.
    Rows(&'static str, &'static str, &'static [(&'static str, &'static [&'static str])]),
    /// Values that only the daemon knows, such as its routes.
    Open(&'static [&'static str]),
}

impl Labels {
    /// Their names.
    pub fn names(self) -> Vec<&'static str> {
        match self {
            Self::None => Vec::new(),
            Self::Each(name, _) => vec![name],
            Self::Product((one, _), (other, _)) | Self::Rows(one, other, _) => vec![one, other],
            Self::Open(names) => names.to_vec(),
        }
    }

    /// The labels of all series that there can be, where that is known.
    pub fn known(self) -> Vec<Vec<(&'static str, &'static str)>> {
        match self {
            Self::None => vec![Vec::new()],
            Self::Each(name, values) => values.iter().map(|value| vec![(name, *value)]).collect(),
            Self::Product((one, ones), (other, others)) => {
                let with =
                    |value: &'static str| others.iter().map(move |of_other| vec![(one, value), (other, *of_other)]);
                ones.iter().flat_map(|value| with(value)).collect()
            }
            Self::Rows(one, other, rows) => rows
                .iter()
                .flat_map(|(value, others)| others.iter().map(move |of_other| vec![(one, *value), (other, *of_other)]))
                .collect(),
            Self::Open(_) => Vec::new(),
        }
    }

    /// As the document says it.
    fn written(self) -> String {
        let list = |values: &[&str]| values.join(", ");
        match self {
            Self::None => String::new(),
            Self::Each(name, values) => format!("`{name}`: {}", list(values)),
            Self::Product((one, ones), (other, others)) => {
                format!("`{one}`: {}; `{other}`: {}", list(ones), list(others))
            }
            Self::Rows(one, other, rows) => {
                let rows: Vec<_> = rows.iter().map(|(value, others)| format!("{value}: {}", list(others))).collect();
                format!("`{one}`, `{other}`: {}", rows.join("; "))
            }
            Self::Open(names) => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        }
    }
}

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name, with the unit at its end.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// In what it is counted.
    pub unit: Unit,
    /// Its labels.
    pub labels: Labels,
    /// Who exports it.
    pub of: &'static [Daemon],
    /// What it means, in one sentence.
    pub help: &'static str,
}

const BOTH: &[Daemon] = &[Daemon::Api, Daemon::Worker];
const API: &[Daemon] = &[Daemon::Api];
const WORKER: &[Daemon] = &[Daemon::Worker];

/// How late something is, which may be hours after a bad night.
const LATE: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0];
/// Kinds of jobs; a kind that this program does not know is `other`.
pub const JOB_KINDS: &[&str] = &["charge_payment", "refund_payment", "other"];

const fn counter(name: &'static str, labels: Labels, of: &'static [Daemon], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit: Unit::Count, labels, of, help }
}

const fn gauge(name: &'static str, unit: Unit, labels: Labels, of: &'static [Daemon], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, labels, of, help }
}

const fn seconds(
    name: &'static str,
    buckets: &'static [f64],
    labels: Labels,
    of: &'static [Daemon],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Histogram(buckets), unit: Unit::Seconds, labels, of, help }
}

/// All of them, in the order of the document.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    api::METRICS.iter().chain(worker::METRICS).chain(both::METRICS)
}

/// The table of the document.
pub fn table() -> String {
    let mut table = "| metric | type | unit | of | labels | meaning |\n|---|---|---|---|---|---|\n".to_owned();
    for Metric { name, kind, unit, labels, of, help } in all() {
        let of = match of {
            [Daemon::Api] => "api",
            [Daemon::Worker] => "worker",
            _ => "both",
        };
        let (kind, unit, labels) = (kind.as_str(), unit.as_str(), labels.written());
        // Writing to a string does not fail.
        let _ = writeln!(table, "| `{name}` | {kind} | {unit} | {of} | {labels} | {help} |");
    }
    table
}

#[cfg(test)]
mod tests;
