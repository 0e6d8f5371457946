//! Metrics as Prometheus reads them.

use std::collections::{BTreeMap, BTreeSet};

use crate::Caller;

/// What a daemon has said at `/metrics`.
pub struct Scrape {
    /// All of it.
    pub text: String,
    /// What was said of each metric.
    pub families: BTreeMap<String, Family>,
    samples: Vec<Sample>,
}

/// What was said of a metric.
#[derive(Default)]
pub struct Family {
    /// `# HELP`.
    pub help: String,
    /// `# TYPE`.
    pub kind: String,
}

/// A line with a value.
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Scrape {
    /// Reads the metrics of a daemon.
    pub async fn of(url: &str) -> Self {
        let answer = Caller::nobody(url).get("/metrics").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        Self::read(answer.text)
    }

    fn read(text: String) -> Self {
        let (mut families, mut samples) = (BTreeMap::<String, Family>::new(), Vec::new());
        for line in text.lines().filter(|line| !line.is_empty()) {
            match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
                ["#", "HELP", name, help] => families.entry(name.to_owned()).or_default().help = help.to_owned(),
                ["#", "TYPE", name, kind] => families.entry(name.to_owned()).or_default().kind = kind.to_owned(),
                _ => samples.push(Sample::read(line)),
            }
        }
        Self { text, families, samples }
    }

    /// The sum of all series of that name whose labels are these, whatever others they have.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|is| is == value))
        };
        self.samples.iter().filter(fits).map(|sample| sample.value).sum()
    }

    /// The metric that a line belongs to: `_bucket`, `_sum` and `_count` are of histograms.
    pub fn family<'n>(&self, name: &'n str) -> Option<&'n str> {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        [of_histogram, Some(name)].into_iter().flatten().find(|name| self.families.contains_key(*name))
    }

    /// The labels of each series of a metric, without the bounds of its buckets.
    pub fn labels(&self, family: &str) -> BTreeSet<Vec<(String, String)>> {
        let of_family = self.samples.iter().filter(|sample| self.family(&sample.name) == Some(family));
        let bounded = |sample: &Sample| {
            let labels = sample.labels.clone().into_iter();
            labels.filter(|(label, _)| label != "le").collect()
        };
        of_family.map(bounded).collect()
    }
}

impl Sample {
    fn read(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("no end of labels: {line}"));
        let label = |pair: &str| {
            let (label, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            (label.to_owned(), value.trim_end_matches('"').to_owned())
        };
        // No value has a comma: none is made of what clients send.
        let labels = labels.split(',').filter(|pair| !pair.is_empty()).map(label).collect();
        Self { name: name.to_owned(), labels, value }
    }
}
