//! What was measured: a table for people, and all of it as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::{fs, io};

use anyhow::Context;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use crate::machine::Machine;
use crate::options::Options;

/// Everything that a benchmark has measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    bench: &'static str,
    machine: Machine,
    /// What was set, by name.
    settings: BTreeMap<&'static str, String>,
    figures: Vec<Figure>,
    goals: Vec<Goal>,
}

/// A number of one subject at one work, in every run.
#[derive(Debug, Serialize)]
struct Figure {
    work: String,
    subject: String,
    what: &'static str,
    samples: Vec<f64>,
}

/// A number of the shop beside the same of a rival: in each run their ratio, and of these the median.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Goal {
    work: String,
    what: String,
    ratio: f64,
    lowest: f64,
    highest: f64,
    goal: String,
    reached: bool,
}

/// What is hoped for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hope {
    /// It should be so much, or more.
    AtLeast(f64),
    /// It should be so much, or less.
    AtMost(f64),
}

impl Hope {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {least}"),
            Self::AtMost(most) => format!("≤ {most}"),
        }
    }
}

impl Report {
    /// An empty one.
    ///
    /// # Errors
    /// When the machine or the servers cannot be looked at.
    pub async fn begin(bench: &'static str, options: &Options) -> anyhow::Result<Self> {
        let settings = [("seconds", options.seconds.to_string()), ("runs", options.runs.to_string())];
        Ok(Self {
            bench,
            machine: Machine::look(options).await?,
            settings: settings.into(),
            figures: Vec::new(),
            goals: Vec::new(),
        })
    }

    /// Notes how something was set.
    pub fn set(&mut self, name: &'static str, value: impl ToString) {
        self.settings.insert(name, value.to_string());
    }

    /// Notes a number, and shows it to who waits. `what` names it with its unit.
    pub fn add(&mut self, work: &str, subject: &str, what: &'static str, value: f64) {
        eprintln!("  {work} · {subject}: {} {what}", short(value));
        let known = |figure: &&mut Figure| figure.work == work && figure.subject == subject && figure.what == what;
        match self.figures.iter_mut().find(known) {
            Some(figure) => figure.samples.push(value),
            None => self.figures.push(Figure {
                work: work.to_owned(),
                subject: subject.to_owned(),
                what,
                samples: vec![value],
            }),
        }
    }

    fn samples(&self, work: &str, subject: &str, what: &str) -> &[f64] {
        let found =
            self.figures.iter().find(|figure| figure.work == work && figure.subject == subject && figure.what == what);
        found.map_or(&[], |figure| &figure.samples)
    }

    /// Compares a number of one subject with the same of another: run by run, the first divided by the second.
    /// Says nothing where one of them was not measured.
    pub fn compare(&mut self, work: &str, what: &str, subjects: [&str; 2], hope: Hope) {
        self.divide([(work, subjects[0], what), (work, subjects[1], what)], hope);
    }

    /// Compares any two numbers, each named by its work, subject and unit: run by run, the first divided by the second.
    pub fn divide(&mut self, [over, under]: [(&str, &str, &str); 2], hope: Hope) {
        let pairs = self.samples(over.0, over.1, over.2).iter().zip(self.samples(under.0, under.1, under.2));
        let ratios: Vec<f64> = pairs.map(|(over, under)| over / under).collect();
        let under_work = if under.0 == over.0 { String::new() } else { format!(" at {}", under.0) };
        let (unit, of) = if over.2 == under.2 {
            (over.2.to_owned(), String::new())
        } else {
            (over.2.to_owned(), format!(", {}", under.2))
        };
        self.judge(over.0, format!("{unit}: {} / {}{under_work}{of}", over.1, under.1), ratios, hope);
    }

    /// Holds a number against what it should be.
    pub fn expect(&mut self, work: &str, subject: &str, what: &str, hope: Hope) {
        let samples = self.samples(work, subject, what).to_vec();
        self.judge(work, format!("{what} of {subject}"), samples, hope);
    }

    fn judge(&mut self, work: &str, what: String, values: Vec<f64>, hope: Hope) {
        let Some(Spread { median, lowest, highest }) = spread(&values) else { return };
        let goal = Goal {
            work: work.to_owned(),
            what,
            ratio: median,
            lowest,
            highest,
            goal: hope.text(),
            reached: hope.met(median),
        };
        self.goals.push(goal);
    }

    /// Prints the table, and writes the file if one was asked for.
    ///
    /// # Errors
    /// When one of both cannot be written.
    pub fn end(&self, options: &Options) -> anyhow::Result<()> {
        if let Some(path) = &options.json {
            self.write(path).with_context(|| format!("writing {}", path.display()))?;
        }
        io::stdout().lock().write_all(self.text().as_bytes()).context("writing the table")
    }

    fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(fs::write(path, text)?)
    }

    /// For people.
    fn text(&self) -> String {
        let Machine { cores, cpu, kernel, postgres, durability, redis, redis_durability } = &self.machine;
        let settings: Vec<String> = self.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let mut text = format!(
            "{}: {cores} cores of {cpu}, Linux {kernel}; PostgreSQL {postgres} ({durability}); Redis {redis} ({redis_durability})\n\
             {}; medians, and in brackets the lowest and the highest\n\n",
            self.bench,
            settings.join(", "),
        );
        let mut figures = Table::new();
        figures.load_style(NOTHING);
        figures.set_header(["work", "who", "what", "median", "(all runs)"]);
        for figure in &self.figures {
            let Some(Spread { median, lowest, highest }) = spread(&figure.samples) else { continue };
            figures.add_row([
                figure.work.clone(),
                figure.subject.clone(),
                figure.what.to_owned(),
                short(median),
                format!("({}–{})", short(lowest), short(highest)),
            ]);
        }
        write_table(&mut text, figures);
        if self.goals.is_empty() {
            return text;
        }
        text.push('\n');
        let mut goals = Table::new();
        goals.load_style(NOTHING);
        goals.set_header(["work", "compared", "median", "(all runs)", "goal", ""]);
        for Goal { work, what, ratio, lowest, highest, goal, reached } in &self.goals {
            goals.add_row([
                work.clone(),
                what.clone(),
                short(*ratio),
                format!("({}–{})", short(*lowest), short(*highest)),
                goal.clone(),
                if *reached { "reached" } else { "MISSED" }.to_owned(),
            ]);
        }
        write_table(&mut text, goals);
        text
    }
}

fn write_table(text: &mut String, mut table: Table) {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for line in table.lines() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// With as many digits as say something.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

struct Spread {
    median: f64,
    lowest: f64,
    highest: f64,
}

fn spread(samples: &[f64]) -> Option<Spread> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (below, above) = (sorted.get(sorted.len().saturating_sub(1) / 2)?, sorted.get(sorted.len() / 2)?);
    Some(Spread { median: f64::midpoint(*below, *above), lowest: *sorted.first()?, highest: *sorted.last()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let text = String::new;
        let machine = Machine {
            cores: 2,
            cpu: text(),
            kernel: text(),
            postgres: text(),
            durability: text(),
            redis: text(),
            redis_durability: text(),
        };
        Report { bench: "orders", machine, settings: BTreeMap::new(), figures: Vec::new(), goals: Vec::new() }
    }

    #[test]
    fn numbers_are_compared_run_by_run() {
        let mut report = report();
        for (shop, rival) in [(20.0, 10.0), (9.0, 3.0), (10.0, 10.0)] {
            report.add("hot", "shop", "orders/s", shop);
            report.add("hot", "pgbench", "orders/s", rival);
        }
        report.compare("hot", "orders/s", ["shop", "pgbench"], Hope::AtLeast(2.0));
        report.compare("cold", "orders/s", ["shop", "pgbench"], Hope::AtLeast(2.0));
        report.expect("hot", "shop", "orders/s", Hope::AtMost(9.5));

        let text = report.text();
        assert!(text.lines().any(|line| line.contains("shop / pgbench") && line.ends_with("reached")), "{text}");
        assert!(text.lines().any(|line| line.contains("orders/s of shop") && line.ends_with("MISSED")), "{text}");
        assert_eq!(report.goals.len(), 2, "{text}");
        assert_eq!((report.goals[0].ratio, report.goals[0].lowest, report.goals[0].highest), (2.0, 1.0, 3.0));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([1234.5, 12.34, 1.234, 0.0123].map(short), ["1234", "12.3", "1.23", "0.012"]);
    }
}
