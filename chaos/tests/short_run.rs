//! The short run of the rig: a few rounds, several faults at once, always the same seeds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use shop_testkit::binaries::program;

#[test]
fn the_shop_keeps_its_promises_through_a_short_run_of_all_faults_that_need_no_privileges() {
    let folder = tempfile::tempdir().unwrap();
    let run = std::process::Command::new(program("chaos"))
        .args(["--short", "--seed", "1", "--length", "3000"])
        .arg("--logs")
        .arg(folder.path())
        .output()
        .unwrap();

    let said = String::from_utf8_lossy(&run.stdout);
    if !run.status.success() {
        // The logs of a red round are worth more than the folder.
        panic!("{said}{}\nlogs: {}", String::from_utf8_lossy(&run.stderr), folder.keep().display());
    }
}
