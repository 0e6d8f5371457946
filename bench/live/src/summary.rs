//! What one measurement gives, and how several are put together.

use std::fmt;

use serde::Serialize;

use crate::target::Target;

/// A target in one run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sample {
    pub(crate) target: Target,
    pub(crate) run: usize,
    pub(crate) connecting_seconds: f64,
    /// Resident memory of the server without sockets.
    pub(crate) memory_before_kib: f64,
    pub(crate) memory_per_socket_kib: f64,
    pub(crate) memory_per_socket_after_feed_kib: f64,
    /// Of a core, while nothing happens.
    pub(crate) idle_cpu_percent: f64,
    /// Told in the measured part of the feed.
    pub(crate) changes: usize,
    /// Those of them that arrived.
    pub(crate) deliveries: usize,
    pub(crate) changes_per_second: f64,
    pub(crate) server_cpu_seconds: f64,
    /// Also counts the writing of the events, which this program does.
    pub(crate) postgres_cpu_seconds: Option<f64>,
    pub(crate) redis_cpu_seconds: f64,
    pub(crate) latency_p50_ms: Option<f64>,
    pub(crate) latency_p99_ms: Option<f64>,
    pub(crate) latency_max_ms: Option<f64>,
    /// Empty if every change was delivered exactly once.
    pub(crate) problems: Vec<String>,
}

impl Sample {
    /// Milliseconds of a processor for a thousand deliveries.
    fn cpu_ms_per_1000(&self, seconds: f64) -> Option<f64> {
        (self.deliveries > 0).then(|| seconds * 1_000_000.0 / self.deliveries as f64)
    }

    fn deliveries_per_cpu_second(&self) -> Option<f64> {
        (self.server_cpu_seconds > 0.0).then(|| self.deliveries as f64 / self.server_cpu_seconds)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} changes delivered", self.deliveries, self.changes)?;
        for metric in [&MEMORY_PER_SOCKET, &DELIVERIES_PER_CPU_SECOND, &LATENCY_P99] {
            let value = (metric.of)(self).map_or_else(|| "-".to_owned(), |value| metric.show(value));
            write!(f, "; {}: {value}", metric.name)?;
        }
        if !self.problems.is_empty() {
            write!(f, "; BROKEN: {}", self.problems.join(", "))?;
        }
        Ok(())
    }
}

/// A number that is shown for each target.
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    /// After the decimal point.
    digits: usize,
    of: fn(&Sample) -> Option<f64>,
}

pub(crate) const MEMORY_PER_SOCKET: Metric =
    Metric { name: "memory per socket, KiB", digits: 1, of: |sample| Some(sample.memory_per_socket_kib) };
pub(crate) const DELIVERIES_PER_CPU_SECOND: Metric =
    Metric { name: "deliveries per CPU second", digits: 0, of: Sample::deliveries_per_cpu_second };
const LATENCY_P99: Metric = Metric { name: "delivery p99, ms", digits: 1, of: |sample| sample.latency_p99_ms };

/// All of them, in the order of the table.
pub(crate) const METRICS: [Metric; 13] = [
    MEMORY_PER_SOCKET,
    Metric {
        name: "the same after the feed, KiB",
        digits: 1,
        of: |sample| Some(sample.memory_per_socket_after_feed_kib),
    },
    Metric { name: "memory without sockets, MiB", digits: 1, of: |sample| Some(sample.memory_before_kib / 1024.0) },
    Metric { name: "opening all sockets, s", digits: 1, of: |sample| Some(sample.connecting_seconds) },
    Metric { name: "CPU while idle, % of a core", digits: 1, of: |sample| Some(sample.idle_cpu_percent) },
    Metric { name: "changes per second", digits: 0, of: |sample| Some(sample.changes_per_second) },
    DELIVERIES_PER_CPU_SECOND,
    Metric {
        name: "server CPU per 1,000 deliveries, ms",
        digits: 0,
        of: |sample| sample.cpu_ms_per_1000(sample.server_cpu_seconds),
    },
    Metric {
        name: "PostgreSQL CPU for them, ms",
        digits: 0,
        of: |sample| sample.cpu_ms_per_1000(sample.postgres_cpu_seconds?),
    },
    Metric { name: "Redis CPU for them, ms", digits: 0, of: |sample| sample.cpu_ms_per_1000(sample.redis_cpu_seconds) },
    Metric { name: "delivery p50, ms", digits: 1, of: |sample| sample.latency_p50_ms },
    LATENCY_P99,
    Metric { name: "delivery max, ms", digits: 1, of: |sample| sample.latency_max_ms },
];

/// A number over several runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Metric {
    /// The number over all runs of a target; `None` if no run has it.
    pub(crate) fn over(&self, samples: &[Sample], target: Target) -> Option<Spread> {
        let of_target = samples.iter().filter(|sample| sample.target == target);
        Spread::of(of_target.filter_map(self.of).collect())
    }

    /// The number with the digits that it is worth.
    pub(crate) fn show(&self, value: f64) -> String {
        format!("{value:.*}", self.digits)
    }

    /// The median, and between which values it lies if there are several.
    pub(crate) fn show_spread(&self, spread: Spread) -> String {
        let median = self.show(spread.median);
        if spread.min == spread.max {
            return median;
        }
        format!("{median} ({}–{})", self.show(spread.min), self.show(spread.max))
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
        Some(Self { median, min, max })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A sample in which only these differ.
    pub(crate) fn sample(target: Target, memory: f64, cpu: f64) -> Sample {
        Sample {
            target,
            run: 1,
            connecting_seconds: 1.0,
            memory_before_kib: 2048.0,
            memory_per_socket_kib: memory,
            memory_per_socket_after_feed_kib: memory,
            idle_cpu_percent: 1.0,
            changes: 1000,
            deliveries: 1000,
            changes_per_second: 500.0,
            server_cpu_seconds: cpu,
            postgres_cpu_seconds: None,
            redis_cpu_seconds: 0.5,
            latency_p50_ms: Some(1.0),
            latency_p99_ms: Some(2.5),
            latency_max_ms: Some(9.0),
            problems: Vec::new(),
        }
    }

    #[test]
    fn runs_of_one_target_are_put_together_by_their_median() {
        let of = |target, cpu| sample(target, 1.0, cpu);
        let samples = [of(Target::Rival, 1.0), of(Target::ShopWs, 9.0), of(Target::Rival, 4.0), of(Target::Rival, 2.0)];
        let spread = DELIVERIES_PER_CPU_SECOND.over(&samples, Target::Rival).unwrap();
        assert_eq!(spread, Spread { median: 500.0, min: 250.0, max: 1000.0 });
        assert_eq!(DELIVERIES_PER_CPU_SECOND.show_spread(spread), "500 (250–1000)");
        assert_eq!(Spread::of(vec![4.0, 1.0]).unwrap().median, 2.5);
    }

    #[test]
    fn a_number_that_no_run_has_is_not_made_up() {
        let postgres = METRICS.iter().find(|metric| metric.name.starts_with("PostgreSQL")).unwrap();
        assert_eq!(postgres.over(&[sample(Target::Rival, 1.0, 1.0)], Target::Rival), None);
    }
}
