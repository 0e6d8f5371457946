//! The report: a table for people, the same and everything behind it as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use crate::args::Args;
use crate::crowd::Crowd;
use crate::machine::Machine;
use crate::summary::{DELIVERIES_PER_CPU_SECOND, MEMORY_PER_SOCKET, METRICS, Metric, Sample, Spread};
use crate::target::Target;

/// The shop wants to make so many times the deliveries of the rival per CPU second …
const DELIVERIES_GOAL: f64 = 3.0;
/// … in so much of its memory per socket.
const MEMORY_GOAL: f64 = 1.0 / 3.0;

/// Everything that was found out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    machine: Machine,
    sockets: usize,
    rate: usize,
    seconds: usize,
    runs: usize,
    whole: bool,
    comparisons: Vec<Comparison>,
    /// By target and number.
    medians: BTreeMap<String, BTreeMap<&'static str, Spread>>,
    samples: Vec<Sample>,
    crowd: Crowd,
}

/// A target of the shop against the rival: the ratio of their medians.
#[derive(Debug, Serialize)]
struct Comparison {
    what: &'static str,
    shop: Target,
    ratio: f64,
    goal: String,
    reached: bool,
}

impl Report {
    /// Puts the samples together.
    pub(crate) fn of(args: &Args, machine: Machine, samples: Vec<Sample>, crowd: Crowd) -> Self {
        Self {
            machine,
            sockets: args.sockets.get(),
            rate: args.rate.get(),
            seconds: args.seconds.get(),
            runs: args.runs.get(),
            whole: samples.iter().all(|sample| sample.problems.is_empty()),
            comparisons: comparisons(&samples),
            medians: Target::ALL.map(|target| (target.to_string(), medians(&samples, target))).into(),
            samples,
            crowd,
        }
    }

    /// Whether every change was delivered exactly once in every run.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Writes everything as JSON.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        Ok(file.flush()?)
    }

    /// The summary for people.
    pub(crate) fn text(&self) -> String {
        let Machine { cores, cpu, kernel, node, socket_io, ws, postgres, redis } = &self.machine;
        let mut text = format!(
            "{} sockets, {} changes per second for {} s; medians of {} (lowest–highest)\n\
             {cores} cores of {cpu}, Linux {kernel}; Node {node}, socket.io {socket_io}, ws {ws}; \
             PostgreSQL {postgres}, Redis {redis}\n\n{}\n\n",
            self.sockets,
            self.rate,
            self.seconds,
            self.runs,
            table(&self.samples),
        );
        // Writing to a string does not fail.
        for Comparison { what, shop, ratio, goal, reached } in &self.comparisons {
            let verdict = if *reached { "reached" } else { "NOT reached" };
            let _ = writeln!(text, "{what}, {shop} : {} = {ratio:.2} (goal: {goal}, {verdict})", Target::Rival);
        }
        let _ = writeln!(text, "{}", self.crowd);
        for sample in self.samples.iter().filter(|sample| !sample.problems.is_empty()) {
            let _ = writeln!(text, "BROKEN: run {} of {}: {}", sample.run, sample.target, sample.problems.join(", "));
        }
        text
    }
}

fn medians(samples: &[Sample], target: Target) -> BTreeMap<&'static str, Spread> {
    METRICS.iter().filter_map(|metric| Some((metric.name, metric.over(samples, target)?))).collect()
}

fn comparisons(samples: &[Sample]) -> Vec<Comparison> {
    let shops = [Target::ShopSocketIo, Target::ShopWs];
    let ratio = |metric: &Metric, shop| {
        let median = |target| Some(metric.over(samples, target)?.median);
        Some(median(shop)? / median(Target::Rival)?)
    };
    let deliveries = shops.into_iter().filter_map(|shop| {
        let ratio = ratio(&DELIVERIES_PER_CPU_SECOND, shop)?;
        let goal = format!("{DELIVERIES_GOAL:.2} or more");
        Some(Comparison { what: DELIVERIES_PER_CPU_SECOND.name, shop, ratio, goal, reached: ratio >= DELIVERIES_GOAL })
    });
    let memory = shops.into_iter().filter_map(|shop| {
        let ratio = ratio(&MEMORY_PER_SOCKET, shop)?;
        let goal = format!("{MEMORY_GOAL:.2} or less");
        Some(Comparison { what: "memory per socket", shop, ratio, goal, reached: ratio <= MEMORY_GOAL })
    });
    deliveries.chain(memory).collect()
}

/// The numbers as rows, the targets as columns, without borders.
fn table(samples: &[Sample]) -> String {
    let mut table = Table::new();
    let headers = std::iter::once(String::new()).chain(Target::ALL.iter().map(ToString::to_string));
    table.load_style(NOTHING).set_header(headers);
    for metric in &METRICS {
        let cell = |target| metric.over(samples, target).map_or("-".to_owned(), |spread| metric.show_spread(spread));
        table.add_row(std::iter::once(metric.name.to_owned()).chain(Target::ALL.into_iter().map(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::sample;

    fn report(samples: Vec<Sample>) -> Report {
        use clap::Parser;
        let args = Args::parse_from([
            "live",
            "--programs",
            ".",
            "--database-url",
            "postgres://h/d",
            "--redis-url",
            "redis://h",
        ]);
        let text = || "1".to_owned();
        let machine = Machine {
            cores: 2,
            cpu: text(),
            kernel: text(),
            node: text(),
            socket_io: text(),
            ws: text(),
            postgres: text(),
            redis: text(),
        };
        let crowd = Crowd {
            sockets: 1000,
            seconds: 4.0,
            idle_p50_ms: 1.0,
            idle_p99_ms: 2.0,
            crowd_p50_ms: 1.5,
            crowd_p99_ms: 3.0,
        };
        Report::of(&args, machine, samples, crowd)
    }

    #[test]
    fn the_goals_are_checked_by_the_ratio_to_the_rival() {
        let samples = vec![
            sample(Target::ShopWs, 10.0, 1.0),
            sample(Target::ShopSocketIo, 9.0, 2.0),
            sample(Target::Rival, 30.0, 7.0),
        ];
        let report = report(samples);
        let text = report.text();
        assert!(report.is_whole());
        for line in [
            "deliveries per CPU second, shop Socket.IO : rival Socket.IO = 3.50 (goal: 3.00 or more, reached)",
            "deliveries per CPU second, shop /ws : rival Socket.IO = 7.00 (goal: 3.00 or more, reached)",
            "memory per socket, shop Socket.IO : rival Socket.IO = 0.30 (goal: 0.33 or less, reached)",
            "1000 sockets of /ws at once were back after 4.0 s; GET /products?take=20 meanwhile: p50 1.5 ms, p99 3.0 ms; \
             before: p50 1.0 ms, p99 2.0 ms; p99 ratio 1.50 (goal: 2.00 or less, reached)",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{text}");
        }
        let row = text.lines().find(|line| line.starts_with("memory per socket, KiB")).unwrap();
        assert_eq!(row.split_whitespace().skip(4).collect::<Vec<_>>(), ["10.0", "9.0", "30.0"]);
    }

    #[test]
    fn a_broken_run_is_said_and_spoils_the_whole() {
        let mut broken = sample(Target::Rival, 30.0, 6.0);
        broken.problems.push("changes missing: 1".to_owned());
        let report = report(vec![broken]);
        assert!(!report.is_whole());
        assert!(report.text().ends_with("BROKEN: run 1 of rival Socket.IO: changes missing: 1\n"));
    }
}
