//! Memory and processor time of processes, as Linux counts them.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use nix::unistd::{SysconfVar, sysconf};

/// What is of interest in `/proc/PID/stat`; times in ticks.
#[derive(Debug, PartialEq, Eq)]
pub struct Stat {
    /// The name of the program.
    pub name: String,
    /// Who started it.
    pub parent: u32,
    /// In user and kernel mode.
    own: u64,
    /// The same of children that have ended.
    children: u64,
}

/// Resident memory of a process, in KiB.
///
/// # Errors
/// When the process has ended.
pub fn memory(pid: u32) -> anyhow::Result<f64> {
    status(pid, "VmRSS:")
}

/// The most that a process had resident so far, in KiB.
///
/// # Errors
/// When the process has ended.
pub fn peak(pid: u32) -> anyhow::Result<f64> {
    status(pid, "VmHWM:")
}

/// A size in `/proc/PID/status`, in KiB.
fn status(pid: u32, name: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the program has ended")?;
    let size = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    size.trim().trim_end_matches(" kB").parse().with_context(|| format!("{name} is no number"))
}

/// Processor time of a process so far.
///
/// # Errors
/// When the process has ended.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    time(stat(pid).context("the server has ended")?.own)
}

/// What Linux knows of a process; nothing when it has ended.
pub fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(line: &str) -> Option<Stat> {
    // The name is in parentheses, and may hold some itself.
    let (start, rest) = line.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        name: start.split_once('(')?.1.to_owned(),
        parent: fields.get(1)?.parse().ok()?,
        own: ticks(11)? + ticks(12)?,
        children: ticks(13)? + ticks(14)?,
    })
}

fn time(ticks: u64) -> anyhow::Result<Duration> {
    let per_second = sysconf(SysconfVar::CLK_TCK)?.context("the length of a tick is not known")?;
    Ok(Duration::from_secs(ticks) / u32::try_from(per_second)?)
}

/// Processor time of a process with all its children so far, also those that have ended.
pub fn family(head: u32) -> Option<Duration> {
    let own = stat(head).map(|stat| stat.own + stat.children)?;
    let processes = fs::read_dir("/proc").ok()?;
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let children = pids.filter_map(stat).filter(|stat| stat.parent == head);
    time(own + children.map(|stat| stat.own + stat.children).sum::<u64>()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_name() {
        let line = "7 (post) gres) S 3 7 7 0 -1 4194560 1 0 0 0 10 2 30 4 20 0 1 0 4711 1 2";
        assert_eq!(parse(line), Some(Stat { name: "post) gres".to_owned(), parent: 3, own: 12, children: 34 }));
        assert_eq!(parse("7 (x) S 3"), None);
    }
}
