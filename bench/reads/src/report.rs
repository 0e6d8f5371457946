//! The table, and all samples as JSON.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, thread};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use crate::args::{MeasureArgs, Rival};
use crate::measure::Sample;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    cores: usize,
    cpu: String,
    connections: usize,
    seconds: usize,
    runs: usize,
    samples: Vec<Sample>,
}

/// The medians of a server's runs, and how far they are apart.
struct Median {
    cpu_us: f64,
    /// Largest minus smallest, of the median.
    spread: f64,
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

impl Report {
    pub(crate) fn of(args: &MeasureArgs, samples: Vec<Sample>) -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
        Self {
            cores: thread::available_parallelism().map_or(0, std::num::NonZero::get),
            cpu: model.unwrap_or("unknown").to_owned(),
            connections: args.connections.get(),
            seconds: args.seconds.get(),
            runs: args.runs.get(),
            samples,
        }
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        Ok(fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }

    /// For people: per page the three servers, and the api as a part of the others.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{} cores of {}; {} connections, {} s each, medians of {} runs; CPU is the server's alone\n\n",
            self.cores, self.cpu, self.connections, self.seconds, self.runs
        );
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_header(["page", "server", "CPU µs", "spread", "requests/s", "p50 µs", "p99 µs", "rival/shop CPU"]);
        let mut pages: Vec<&str> = Vec::new();
        for sample in &self.samples {
            if !pages.contains(&sample.page) {
                pages.push(sample.page);
            }
        }
        for page in pages {
            let shop = self.median(page, "shop-api");
            for server in ["shop-api", Rival::Hyper.name(), Rival::Rocket.name()] {
                let Some(median) = self.median(page, server) else { continue };
                let ratio = match &shop {
                    Some(shop) if server != "shop-api" => format!("{:.2}", median.cpu_us / shop.cpu_us),
                    _ => "-".to_owned(),
                };
                table.add_row([
                    page.to_owned(),
                    server.to_owned(),
                    format!("{:.1}", median.cpu_us),
                    format!("{:.0} %", median.spread * 100.0),
                    format!("{:.0}", median.per_second),
                    format!("{:.0}", median.p50_us),
                    format!("{:.0}", median.p99_us),
                    ratio,
                ]);
            }
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for line in table.lines() {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }

    fn median(&self, page: &str, server: &str) -> Option<Median> {
        let of = |value: fn(&Sample) -> f64| {
            let samples = self.samples.iter().filter(|sample| sample.page == page && sample.server == server);
            let mut values: Vec<f64> = samples.map(value).collect();
            values.sort_by(f64::total_cmp);
            let middle = values.get(values.len() / 2).copied()?;
            Some((middle, (values.last()? - values.first()?) / middle))
        };
        let (cpu_us, spread) = of(|sample| sample.cpu_us)?;
        Some(Median {
            cpu_us,
            spread,
            per_second: of(|sample| sample.per_second)?.0,
            p50_us: of(|sample| sample.p50_us)?.0,
            p99_us: of(|sample| sample.p99_us)?.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_shown_as_a_part_of_its_rivals() {
        let sample = |server, cpu_us| Sample {
            page: "product",
            server,
            requests: 1,
            per_second: 1.0,
            cpu_us,
            p50_us: 1.0,
            p99_us: 2.0,
        };
        let samples = vec![sample("shop-api", 20.0), sample("hyper", 10.0), sample("rocket", 19.0)];
        let report = Report { cores: 2, cpu: "a chip".to_owned(), connections: 1, seconds: 1, runs: 1, samples };
        let text = report.text();
        assert!(text.lines().any(|line| line.contains("hyper") && line.ends_with("0.50")), "{text}");
        assert!(text.lines().any(|line| line.contains("rocket") && line.ends_with("0.95")), "{text}");
    }
}
