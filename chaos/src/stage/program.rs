//! One program of the shop under test: started, killed, stopped in its tracks, started again.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::Context;
use nix::sys::signal::Signal;

use super::process::Process;
use super::servers::append;

/// A program, whether it runs or not.
#[derive(Debug)]
pub struct Program {
    /// What it is called in reports.
    pub name: String,
    path: PathBuf,
    envs: Vec<(String, String)>,
    args: Vec<String>,
    log: PathBuf,
    process: Process,
}

impl Program {
    /// A program that does not run yet.
    pub fn new(
        name: &str,
        path: PathBuf,
        args: Vec<String>,
        envs: Vec<(String, String)>,
        logs: &std::path::Path,
    ) -> Self {
        let log = logs.join(format!("{name}.log"));
        Self { name: name.to_owned(), path, envs, args, log, process: Process::default() }
    }

    /// Starts it with further variables; one that runs is killed first. Gives its process id.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn start(&self, further: &[(&str, String)]) -> anyhow::Result<u32> {
        let log = append(&self.log)?;
        let mut command = Command::new(&self.path);
        command
            .args(&self.args)
            .envs(self.envs.iter().map(|(name, value)| (name, value)))
            .envs(further.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.process.start(&mut command).with_context(|| format!("cannot run {}", self.path.display()))
    }

    /// Kills it without a word.
    pub fn kill(&self) {
        self.process.end(Signal::SIGKILL);
    }

    /// Sends it a signal.
    pub fn signal(&self, what: Signal) {
        self.process.signal(what);
    }

    /// Its process id, if it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// How it ended, if it has ended without being told to.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Forgets a process that has ended.
    pub fn bury(&self) {
        self.process.forget();
    }

    /// Open files of the process.
    pub fn open_files(&self) -> Option<usize> {
        Some(fs::read_dir(format!("/proc/{}/fd", self.id()?)).ok()?.count())
    }

    /// Memory of the process, in MiB.
    pub fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()?)).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(resident.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1024)
    }

    /// How much it has logged, in bytes.
    pub fn logged(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |log| log.len())
    }

    /// The lines that it has logged since then and that hold one of these words.
    pub fn lines_with(&self, words: &[&str], since: u64) -> Vec<String> {
        let log = fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(since).unwrap_or(usize::MAX).min(log.len());
        String::from_utf8_lossy(&log[from..])
            .lines()
            .filter(|line| words.iter().any(|word| line.contains(word)))
            .map(str::to_owned)
            .collect()
    }
}
