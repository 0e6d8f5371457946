//! The catalogue, the code and the document say the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

const DOCUMENT: &str = include_str!("../../../../docs/metrics.md");

#[test]
fn names_are_unique_and_say_what_they_count() {
    let mut seen = BTreeSet::new();
    for Metric { name, kind, unit, help, labels, .. } in all() {
        assert!(seen.insert(name), "{name} is there twice");
        assert_eq!(matches!(kind, Kind::Counter), name.ends_with("_total"), "{name}");
        let named = name.trim_end_matches("_total");
        assert_eq!(*unit == Unit::Seconds, named.ends_with("_seconds"), "{name}");
        assert_eq!(*unit == Unit::Bytes, named.ends_with("_bytes"), "{name}");
        assert!(help.ends_with('.') && !help.contains('|'), "{name}: {help}");
        assert!(labels.known().len() <= 32, "{name} has many series");
    }
}

#[test]
fn buckets_rise() {
    for Metric { name, kind, .. } in all() {
        if let Kind::Histogram(buckets) = kind {
            assert!(buckets.is_sorted_by(|a, b| a < b), "{name}");
        }
    }
}

#[test]
fn the_document_has_this_very_table() {
    assert!(DOCUMENT.contains(&table()), "docs/metrics.md should have this table:\n{}", table());
}

/// The sources of a crate.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names that the code gives to the macros of that crate, in the form in which they are looked for.
fn used() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for program in ["common", "api", "worker"] {
        sources(&root.join(program).join("src"), &mut files);
    }
    let mut used = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for one in ["counter!(", "gauge!(", "histogram!("] {
            for call in text.split(&format!("metrics::{one}")).skip(1) {
                if let Some(name) = call.trim_start().strip_prefix('"') {
                    used.insert(name.split('"').next().unwrap().to_owned());
                }
            }
        }
    }
    used
}

#[test]
fn what_the_code_counts_is_in_the_catalogue_and_the_rest_is_counted_by_the_code() {
    let used = used();
    let catalogue: BTreeSet<String> = all().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(used.difference(&catalogue).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the catalogue");
    assert_eq!(catalogue.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new(), "counted nowhere");
}
