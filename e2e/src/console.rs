//! Runs the examples of a document: what its `console` blocks show is typed into a shell, in order, and what comes back
//! is held against what the document says.
//!
//! A block looks like this. All blocks of a document share one shell (`sh`), with its variables and its folder:
//!
//! ````text
//! ```console
//! $ ORDER=$(shopctl orders list -o jsonl | jq -r .id)
//! $ shopctl jobs retry 'no id' \
//! > --yes
//! ? 2
//! error: invalid value 'no id' for '<ID>': [..]
//! ...
//! ```
//! ````
//!
//! `$ ` begins a command, `> ` goes on with it, `? N` says that it leaves with N and not with 0. Then comes what it
//! prints, notes and data in the order in which they came. `[..]` stands for anything within a line, a line `...` for any
//! lines. What a command has put into a variable, as above, is `[ORDER]` from then on; `[UUID]` and
//! `[TIME]` are any id and any moment. With `SNAPSHOTS=overwrite` the document is written anew with what came back.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use regex::Regex;
use shop_testkit::binaries::{self, Environment};
use snapbox::assert::DEFAULT_ACTION_ENV;
use snapbox::filter::NormalizeToExpected;
use snapbox::{Assert, Data, Redactions};
use tempfile::TempDir;

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What ends the output of a command: nothing prints it by chance.
const MARK: u8 = 0x1e;

/// A shell in which the examples of documents run.
pub struct Console {
    shell: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    folder: TempDir,
    redactions: Redactions,
}

impl Console {
    /// A shell in an empty folder, with the programs of the shop on its `PATH` and that environment.
    pub fn new(environment: &Environment) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs = binaries::program("shopctl").parent().unwrap().to_owned();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        environment.set_on(&mut command);
        command.env("PATH", format!("{}:{path}", programs.display())).env("COLUMNS", "100").current_dir(folder.path());
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
        let (input, output) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut part = Vec::new();
            while matches!(output.read_until(MARK, &mut part), Ok(read) if read > 0) {
                let _ = sender.send(std::mem::take(&mut part));
            }
        });
        let mut redactions = Redactions::new();
        let id = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";
        let time = r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(\.\d+)?Z?";
        redactions.insert("[UUID]", Regex::new(id).unwrap()).unwrap();
        redactions.insert("[TIME]", Regex::new(time).unwrap()).unwrap();
        Self { shell, input, output: receiver, folder, redactions }
    }

    /// The folder in which the commands run, for files that they need.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// From now on `placeholder`, such as `[PORT]`, stands for that value.
    #[must_use]
    pub fn redact(mut self, placeholder: &'static str, value: &str) -> Self {
        self.redactions.insert(placeholder, value.to_owned()).unwrap();
        self
    }

    /// Runs the blocks of a document, which fails when it does not say what came back.
    pub fn run(&mut self, document: &Path) {
        let now = self.replay(&std::fs::read_to_string(document).unwrap());
        let compare = Assert::new().action_env(DEFAULT_ACTION_ENV);
        let compared = compare.try_eq(Some(&"what came back"), Data::text(now), Data::read_from(document, None).raw());
        compared.unwrap_or_else(|error| panic!("{error}If that is what it should say: make snapshots"));
    }

    /// The document with what comes back now, and where that is as it was said, as it was.
    pub fn replay(&mut self, document: &str) -> String {
        let parts = parse(document).unwrap_or_else(|error| panic!("{error}"));
        parts.into_iter().map(|part| self.part(part)).collect()
    }

    /// A part of the document as it is now.
    fn part(&mut self, part: Part) -> String {
        match part {
            Part::Text(text) => text,
            Part::Example { command, shown } => {
                let (code, output) = self.type_in(&command);
                let mut now = if code == 0 { String::new() } else { format!("? {code}\n") };
                now.push_str(&output);
                let pattern = NormalizeToExpected::new().redact_with(&self.redactions);
                let now = pattern.normalize(Data::text(now), &Data::text(shown)).render().unwrap();
                format!("$ {}\n{now}", command.replace('\n', "\n> "))
            }
        }
    }

    /// Runs one command, and gives its exit code and what it has printed.
    fn type_in(&mut self, command: &str) -> (i32, String) {
        let named = Regex::new(r"^([A-Z][A-Z_]*)=\$\(").unwrap();
        let variable = named.captures(command).map(|found| found[1].to_owned());
        // From a file and not as it is: a command that reads stdin would read on in ours.
        let file = self.folder.path().join(".command");
        std::fs::write(&file, format!("{command}\n")).unwrap();
        let value = variable.as_ref().map(|name| format!("\"${{{name}}}\"")).unwrap_or_default();
        let typed = format!("command . ./.command </dev/null 2>&1; printf '\\036%d\\036%s\\036' $? {value}\n");
        self.input.write_all(typed.as_bytes()).unwrap();
        let answer = || {
            let part = self.output.recv_timeout(PATIENCE);
            let mut part = part.unwrap_or_else(|error| panic!("`{command}` does not end: {error}"));
            assert_eq!(part.pop(), Some(MARK), "`{command}` has ended the shell: {}", String::from_utf8_lossy(&part));
            String::from_utf8(part).unwrap()
        };
        let (mut output, code, value) = (answer(), answer().parse().unwrap(), answer());
        if let Some(name) = variable {
            assert!(!value.is_empty(), "`{command}` leaves {name} empty: {output}");
            let placeholder: &'static str = format!("[{name}]").leak();
            self.redactions.remove(placeholder).unwrap();
            self.redactions.insert(placeholder, value).unwrap();
        }
        if !output.is_empty() && !output.ends_with('\n') {
            output.push('\n');
        }
        (code, output)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // Its children too: they are in its group.
        let _ = Command::new("kill").arg("--").arg(format!("-{}", self.shell.id())).stderr(Stdio::null()).status();
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// A part of a document, line for line.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// What is not run.
    Text(String),
    /// A command, and what the document shows after it.
    Example { command: String, shown: String },
}

fn parse(document: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(document.split_inclusive('\n')) {
        let bare = line.trim_end();
        if !inside || bare == "```" {
            inside = bare == "```console";
            parts.push(Part::Text(line.to_owned()));
            continue;
        }
        if let Some(command) = bare.strip_prefix("$ ") {
            parts.push(Part::Example { command: command.to_owned(), shown: String::new() });
            continue;
        }
        match parts.last_mut() {
            Some(Part::Example { command, shown }) => match bare.strip_prefix("> ") {
                Some(more) if shown.is_empty() => {
                    command.push('\n');
                    command.push_str(more);
                }
                _ => shown.push_str(line),
            },
            _ => return Err(format!("line {number}: a block begins with a command, `$ …`")),
        }
    }
    Ok(parts)
}
