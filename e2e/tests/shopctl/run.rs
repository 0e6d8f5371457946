//! Runs `shopctl` as an operator would, and holds what it prints against its schema.

use std::io::Write;
use std::ops::Deref;
use std::process::{Output, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};
use shop_common::db;
use shop_testkit::binaries::{self, Environment};
use sqlx::PgPool;
use tempfile::TempDir;

/// What `shopctl schema` prints.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let output = std::process::Command::new(binaries::program("shopctl")).arg("schema").output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
});

/// A command that has ended.
pub(crate) struct Done {
    arguments: Vec<String>,
    output: Output,
}

impl Deref for Done {
    type Target = Output;

    fn deref(&self) -> &Output {
        &self.output
    }
}

/// Runs shopctl away from any stack that runs in this folder.
pub(crate) fn shopctl(environment: &Environment, arguments: &[&str]) -> Done {
    let folder = tempdir();
    let output = environment.command("shopctl").args(arguments).current_dir(folder.path()).output().unwrap();
    Done { arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(), output }
}

/// The same, with something on stdin.
pub(crate) fn shopctl_reading(environment: &Environment, arguments: &[&str], stdin: &str) -> Done {
    let folder = tempdir();
    let mut command = environment.command("shopctl");
    command.args(arguments).current_dir(folder.path()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Done { arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(), output }
}

/// The cursor that was noted under a page, if there is a next one.
pub(crate) fn cursor(done: &Done) -> Option<String> {
    let notes = stderr(done);
    let (_, cursor) = notes.split_once("add --after ")?;
    cursor.lines().next().map(str::to_owned)
}

/// The pages of a list, one after the other, as many rows at a time; each is of the shape that the schema says.
pub(crate) fn pages(environment: &Environment, arguments: &[&str], limit: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut command = [arguments, &["--limit", limit, "-o", "json"]].concat();
        command.extend(after.iter().flat_map(|cursor| ["--after", cursor.as_str()]));
        let page = shopctl(environment, &command);
        pages.push(json(&page).as_array().unwrap().clone());
        after = cursor(&page);
        if after.is_none() {
            return pages;
        }
    }
}

/// What a database that is marked production is called.
pub(crate) async fn mark_production(pool: &PgPool) -> String {
    db::mark_environment(pool, true).await.unwrap();
    db::installation(pool).await.unwrap().database
}

pub(crate) fn tempdir() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What a command that did well has printed with `-o json`, which is of the shape that `shopctl schema` says.
pub(crate) fn json(done: &Done) -> Value {
    assert_eq!(done.status.code(), Some(0), "{}", stderr(done));
    shaped(done)
}

/// The same of a command that may have found something.
pub(crate) fn shaped(done: &Done) -> Value {
    let printed: Value = serde_json::from_slice(&done.stdout).unwrap();
    let shape = shape(&done.arguments);
    let schema = json!({ "$ref": shape, "commands": SCHEMA["commands"], "components": SCHEMA["components"] });
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<String> = validator.iter_errors(&printed).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{:?} printed {printed:#}, which is not {shape}: {faults:?}", done.arguments);
    printed
}

/// Where the schema says what that command prints: the longest name of a command that the arguments begin with.
fn shape(arguments: &[String]) -> String {
    let commands = SCHEMA["commands"].as_object().unwrap();
    let name =
        (1..=arguments.len()).rev().map(|words| arguments[..words].join(" ")).find(|name| commands.contains_key(name));
    let name = name.unwrap_or_else(|| panic!("{arguments:?} is not in `shopctl schema`"));
    format!("#/commands/{}", name.replace(' ', "%20"))
}
