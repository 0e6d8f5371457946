//! Memory and processor time of the servers, as Linux counts them.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use nix::unistd::{SysconfVar, sysconf};
use shop_common::redis::Connection;
use sqlx::PgPool;

/// What is of interest in `/proc/PID/stat`; times in ticks.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    parent: u32,
    /// In user and kernel mode.
    own: u64,
    /// The same of children that have ended.
    children: u64,
}

/// Resident memory of a process, in KiB.
pub(crate) fn memory(pid: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the server has ended")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    resident.trim().trim_end_matches(" kB").parse::<f64>().context("VmRSS is no number")
}

/// Processor time of a process so far.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    time(stat(pid).context("the server has ended")?.own)
}

fn stat(pid: u32) -> Option<Stat> {
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

/// Reads the processor time of the server, of PostgreSQL and of Redis.
pub(crate) struct Meter {
    server: u32,
    postmaster: Option<u32>,
    redis: Connection,
}

/// Processor time so far, or between two readings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) server: Duration,
    /// All its processes; not known if it does not run here.
    pub(crate) postgres: Option<Duration>,
    pub(crate) redis: Duration,
}

impl Meter {
    /// A meter of that server, and of the other two behind these connections.
    pub(crate) async fn new(server: u32, pool: &PgPool, redis: Connection) -> anyhow::Result<Self> {
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(pool).await?;
        let backend = stat(u32::try_from(backend)?).filter(|stat| stat.name.starts_with("postgres"));
        Ok(Self { server, postmaster: backend.map(|stat| stat.parent), redis })
    }

    /// All three now.
    pub(crate) async fn read(&mut self) -> anyhow::Result<Spent> {
        let postgres = self.postmaster.and_then(family).map(time).transpose()?;
        let info: String = redis::cmd("INFO").arg("cpu").query_async(&mut self.redis).await?;
        let seconds = |name: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            value.trim().parse::<f64>().ok()
        };
        let redis = seconds("used_cpu_user").zip(seconds("used_cpu_sys")).context("Redis does not count its time")?;
        Ok(Spent { server: cpu(self.server)?, postgres, redis: Duration::from_secs_f64(redis.0 + redis.1) })
    }
}

impl Spent {
    /// What was spent since an earlier reading.
    pub(crate) fn since(self, earlier: Self) -> Self {
        let postgres = self.postgres.zip(earlier.postgres).map(|(now, then)| now.saturating_sub(then));
        Self {
            server: self.server.saturating_sub(earlier.server),
            postgres,
            redis: self.redis.saturating_sub(earlier.redis),
        }
    }
}

/// Ticks of a process with all its children, also those that have ended.
fn family(head: u32) -> Option<u64> {
    let own = stat(head).map(|stat| stat.own + stat.children)?;
    let processes = fs::read_dir("/proc").ok()?;
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let children = pids.filter_map(stat).filter(|stat| stat.parent == head);
    Some(own + children.map(|stat| stat.own + stat.children).sum::<u64>())
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

    #[test]
    fn what_was_spent_is_the_difference() {
        let spent =
            |ms, postgres| Spent { server: Duration::from_millis(ms), postgres, redis: Duration::from_millis(2 * ms) };
        let between = spent(30, Some(Duration::from_millis(9))).since(spent(10, Some(Duration::from_millis(4))));
        assert_eq!((between.server.as_millis(), between.redis.as_millis()), (20, 40));
        assert_eq!(between.postgres, Some(Duration::from_millis(5)));
        assert_eq!(spent(30, None).since(spent(10, Some(Duration::ZERO))).postgres, None);
    }
}
