//! The program as it is called: what goes to stdout, and how it exits.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

const SLICE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/slice.csv.gz");

fn replay(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replay"));
    command.args(arguments).env_remove("BASE_URL").env_remove("DATABASE_URL");
    command.output().expect("replay starts")
}

#[test]
fn a_plan_needs_no_shop_and_is_data_on_stdout() {
    let output = replay(&[SLICE, "--plan-only"]);
    let plan = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    assert!(output.stderr.is_empty());
    let shown = |label: &str, value: &str| {
        plan.lines().any(|line| line.trim_start().starts_with(label) && line.ends_with(value))
    };
    assert!(shown("invoices read", " 80"), "{plan}");
    assert!(shown("with lines that can be sold", " 56"), "{plan}");
    assert!(shown("cancellation", " 16"), "{plan}");
}

#[test]
fn a_replay_without_a_shop_to_speak_to_is_a_wrong_call() {
    let output = replay(&[SLICE]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--base-url"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = replay(&["no-such.csv", "--plan-only"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such.csv"));
}
