//! What the rig says: a line per round, and a table for the record.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::faults::Fault;

/// One round, as it is told.
#[derive(Debug)]
pub struct Line {
    /// Its number.
    pub round: usize,
    /// Its seed.
    pub seed: u64,
    /// Its faults.
    pub faults: Vec<Fault>,
    /// What was counted.
    pub counts: BTreeMap<&'static str, u64>,
    /// From the end of the faults to the end of the last order, if it came to that.
    pub recovery: Option<Duration>,
    /// What must not be.
    pub violations: Vec<String>,
}

/// Counts that have a column, or are told once for the whole run.
const NOT_INJECTED: [&str; 10] = [
    "orders",
    "charges",
    "acknowledged orders",
    "acknowledged cancellations",
    "jobs taken over",
    "open files of a program",
    "memory of an api, MiB",
    "memory of a worker, MiB",
    "slowest takeover, ms",
    "slowest return of due jobs, ms",
];

impl Line {
    fn faults(&self) -> String {
        self.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")
    }

    fn injected(&self) -> String {
        // The steps at which programs died are told for the whole run.
        let injected = self.counts.iter().filter(|(what, _)| !NOT_INJECTED.contains(what) && !what.contains('.'));
        injected.map(|(what, times)| format!("{times} {what}")).collect::<Vec<_>>().join(", ")
    }

    fn recovered(&self) -> String {
        self.recovery.map_or_else(|| "-".to_owned(), |time| format!("{} ms", time.as_millis()))
    }

    fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    fn verdict(&self) -> String {
        if self.violations.is_empty() { "green".to_owned() } else { format!("RED: {}", first_few(&self.violations)) }
    }

    /// The line for a terminal.
    pub fn text(&self) -> String {
        format!(
            "round {:>3}  seed {:>20}  {:<12} {:>5} orders {:>5} charges  recovered in {:>8}  {}  ({})",
            self.round,
            self.seed,
            self.faults(),
            self.count("orders"),
            self.count("charges"),
            self.recovered(),
            self.verdict(),
            self.injected()
        )
    }
}

/// Some of the violations, and how many more there are.
pub fn first_few(violations: &[String]) -> String {
    let shown = violations.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
    match violations.len().saturating_sub(3) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

/// What all rounds come to: sums, and the largest of what is no sum.
pub fn totals(lines: &[Line]) -> BTreeMap<&'static str, u64> {
    let mut totals: BTreeMap<&'static str, u64> = BTreeMap::new();
    for line in lines {
        for (what, value) in &line.counts {
            let total = totals.entry(what).or_default();
            let largest = what.starts_with("slowest") || what.starts_with("open files") || what.starts_with("memory");
            *total = if largest { (*total).max(*value) } else { *total + value };
        }
        let slowest = totals.entry("slowest recovery, ms").or_default();
        let recovery = line.recovery.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        *slowest = (*slowest).max(recovery);
    }
    totals
}

/// The record of a run, as Markdown.
pub fn markdown(lines: &[Line]) -> String {
    let red = lines.iter().filter(|line| !line.violations.is_empty()).count();
    let mut text = format!("{} rounds, {red} red.\n\n| what | how much |\n|---|---|\n", lines.len());
    for (what, value) in totals(lines) {
        let _ = writeln!(text, "| {what} | {value} |");
    }
    text.push_str("\n| round | seed | faults | orders | charges | recovered in | injected | verdict |\n|---|---|---|---|---|---|---|---|\n");
    for line in lines {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            line.round,
            line.seed,
            line.faults(),
            line.count("orders"),
            line.count("charges"),
            line.recovered(),
            line.injected(),
            line.verdict().replace('|', "/"),
        );
    }
    text
}
