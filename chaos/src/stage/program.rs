//! One program of the shop under test: started, killed, stopped in its tracks, started again.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;

use anyhow::Context;
use nix::sys::signal::Signal;

use super::lock;
use super::servers::{append, signal};

/// A program, whether it runs or not.
#[derive(Debug)]
pub struct Program {
    /// What it is called in reports.
    pub name: String,
    path: PathBuf,
    envs: Vec<(String, String)>,
    args: Vec<String>,
    log: PathBuf,
    process: Mutex<Option<Child>>,
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
        Self { name: name.to_owned(), path, envs, args, log, process: Mutex::default() }
    }

    /// Starts it with further variables; one that runs is killed first. Gives its process id.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn start(&self, further: &[(&str, String)]) -> anyhow::Result<u32> {
        let log = append(&self.log)?;
        // Held all the time: of two faults that start a program, the second kills what the first has started.
        let mut process = lock(&self.process);
        end(&mut process);
        let child = Command::new(&self.path)
            .args(&self.args)
            .envs(self.envs.iter().map(|(name, value)| (name, value)))
            .envs(further.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}", self.path.display()))?;
        let pid = child.id();
        *process = Some(child);
        Ok(pid)
    }

    /// Kills it without a word.
    pub fn kill(&self) {
        end(&mut lock(&self.process));
    }

    /// Sends it a signal.
    pub fn signal(&self, what: Signal) {
        if let Some(child) = lock(&self.process).as_ref() {
            signal(child, what);
        }
    }

    /// Its process id, if it runs.
    pub fn id(&self) -> Option<u32> {
        lock(&self.process).as_ref().map(Child::id)
    }

    /// How it ended, if it has ended without being told to.
    pub fn ended(&self) -> Option<ExitStatus> {
        lock(&self.process).as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Forgets a process that has ended.
    pub fn bury(&self) {
        lock(&self.process).take();
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

fn end(process: &mut Option<Child>) {
    if let Some(mut child) = process.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
