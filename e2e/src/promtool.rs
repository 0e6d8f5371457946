//! promtool, which checks what is meant for Prometheus. `make test` gets it (`e2e/promtool/install.sh`).

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs promtool in the folder of the repository with something to read. Gives what it says, and whether it found nothing.
pub fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fetched = here.join("promtool/bin/promtool");
    let program = if fetched.exists() { fetched } else { "promtool".into() };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(here.parent().unwrap());
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.expect("run e2e/promtool/install.sh, as `make test` does");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}
