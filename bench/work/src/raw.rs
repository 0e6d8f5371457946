//! The commands of the queue, sent by Redis' own tools.
//!
//! `redis-cli --pipe` sends the very commands, all on one connection and without waiting for answers: which jobs are claimed
//! next is known, and so are the members that are acknowledged.
//!
//! `redis-benchmark` sends one command again and again and can only draw numbers in it, so it measures claims and
//! acknowledgements apart, and the two times are added. A claim is the very script, with one of 1,000 sets for the
//! leases so that they stay as small as the shop's. An acknowledgement names 100 members of a set of 100,000 at random, and most
//! are still there.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use shop_bench_kit::meter::Meter;
use shop_bench_kit::options::Options;
use shop_bench_kit::report::Report;
use shop_common::id::{BootId, JobId};
use shop_common::jobs::Token;
use shop_common::jobs::queue::Queue;
use shop_common::redis::Redis;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::queue::{CLAIM, LEASE, due_now, note};

pub(crate) const BENCHMARK: &str = "redis-benchmark";
pub(crate) const PIPE: &str = "redis-cli --pipe";

const SCRIPT: &str = include_str!("../../../common/src/jobs/lua/claim.lua");
/// Connections of `redis-benchmark`, and requests under way on each.
const CLIENTS: usize = 4;
const PIPELINE: usize = 4;
/// Members of a set from which are taken away, and how many of these in one go.
const MEMBERS: usize = 100_000;
const TAKEN: usize = 20_000;

/// Measures both tools with so many jobs.
pub(crate) async fn measure(
    options: &Options,
    redis: &Redis,
    meter: &mut Meter,
    jobs: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let sha: String = redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query_async(&mut redis.connection()).await?;
    let queue = Queue::new(redis.clone());

    let ids = due_now(&queue, jobs).await?;
    let commands = commands(redis, &sha, &ids);
    let (before, begun) = (meter.read().await?, Instant::now());
    pipe(options, &commands).await?;
    let (time, spent) = (begun.elapsed(), meter.read().await?.since(before));
    let left = queue.depth().await?;
    anyhow::ensure!(left.scheduled + left.leased == 0, "redis-cli has left {left:?}");
    note(report, PIPE, jobs, time, spent);

    let ids = due_now(&queue, jobs).await?;
    let (sched, leases, lease) = (redis.key("sched"), redis.key("lease:__rand_int__"), LEASE.as_millis().to_string());
    let (claim, boot) = (CLAIM.to_string(), BootId::new().to_string());
    let before = meter.read().await?;
    let claims = ["EVALSHA", &sha, "2", &sched, &leases, &claim, &lease, &boot, "1"];
    let claiming = benchmark(options, ids.len() / CLAIM, 1000, &claims).await?;
    let mut spent = meter.read().await?.since(before);
    anyhow::ensure!(queue.depth().await?.scheduled == 0, "redis-benchmark has not claimed them all");

    // As long as the member of a lease.
    let (set, member) = (redis.key("acks"), format!("{}:{}-__rand_int__", JobId::new(), BootId::new()));
    let ack: Vec<&str> = ["ZREM", &set].into_iter().chain(std::iter::repeat_n(member.as_str(), CLAIM)).collect();
    let mut acknowledging = Duration::ZERO;
    for _ in 0..jobs.div_ceil(TAKEN) {
        fill(redis, &set, &member).await?;
        let before = meter.read().await?;
        acknowledging += benchmark(options, TAKEN / CLAIM, MEMBERS, &ack).await?;
        spent.redis += meter.read().await?.since(before).redis;
    }
    let acked = jobs.div_ceil(TAKEN) * TAKEN;
    note(report, BENCHMARK, jobs, claiming + acknowledging.mul_f64(jobs as f64 / acked as f64), spent);
    clear(redis).await
}

/// Claims and acknowledgements in the order in which they succeed, as Redis reads them.
fn commands(redis: &Redis, sha: &str, ids: &[JobId]) -> Vec<u8> {
    let (sched, leases, boot) = (redis.key("sched"), redis.key("lease"), BootId::new());
    let (mut bytes, mut first) = (Vec::new(), 1);
    for chunk in ids.chunks(CLAIM) {
        let claim = redis::cmd("EVALSHA")
            .arg(sha)
            .arg(2)
            .arg(&sched)
            .arg(&leases)
            .arg(chunk.len())
            .arg(u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX))
            .arg(boot.to_string())
            .arg(first)
            .get_packed_command();
        bytes.extend(claim);
        let members = (first..).zip(chunk).map(|(number, job)| format!("{job}:{}", Token::new(boot, number).as_str()));
        bytes.extend(redis::cmd("ZREM").arg(&leases).arg(members.collect::<Vec<_>>()).get_packed_command());
        first += chunk.len() as u64;
    }
    bytes
}

async fn pipe(options: &Options, commands: &[u8]) -> anyhow::Result<()> {
    let mut child = Command::new("redis-cli")
        .args(["-u", &options.redis_url, "--pipe"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run redis-cli, which comes with Redis (on Debian, the package redis-tools)")?;
    let mut input = child.stdin.take().context("redis-cli has no input")?;
    input.write_all(commands).await?;
    drop(input);
    let output = child.wait_with_output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    anyhow::ensure!(output.status.success() && text.contains("errors: 0"), "redis-cli has failed: {text}");
    Ok(())
}

/// Sends a command so many times, with `__rand_int__` drawn below that number. Gives how long it took.
async fn benchmark(options: &Options, times: usize, below: usize, command: &[&str]) -> anyhow::Result<Duration> {
    let output = Command::new("redis-benchmark")
        .args(["-u", &options.redis_url, "--csv"])
        .args(["-n", &times.to_string(), "-r", &below.to_string()])
        .args(["-c", &CLIENTS.to_string(), "-P", &PIPELINE.to_string()])
        .args(command)
        .output()
        .await
        .context("cannot run redis-benchmark, which comes with Redis (on Debian, the package redis-tools)")?;
    let text = String::from_utf8_lossy(&output.stdout);
    anyhow::ensure!(output.status.success(), "redis-benchmark has failed: {}", String::from_utf8_lossy(&output.stderr));
    let rate = rate(&text).with_context(|| format!("redis-benchmark says no rate: {text}"))?;
    Ok(Duration::from_secs_f64(times as f64 / rate))
}

/// Requests a second: the number after the name of the test, which is the command itself and may have commas in it.
fn rate(text: &str) -> Option<f64> {
    text.lines().last()?.split("\",\"").nth(1)?.trim_matches('"').parse().ok()
}

/// Makes a set with all the members that may be drawn.
async fn fill(redis: &Redis, set: &str, member: &str) -> anyhow::Result<()> {
    redis::cmd("DEL").arg(set).exec_async(&mut redis.connection()).await?;
    for first in (0..MEMBERS).step_by(1000) {
        let mut add = redis::cmd("ZADD");
        add.arg(set);
        for number in first..first + 1000 {
            add.arg(1).arg(member.replace("__rand_int__", &format!("{number:012}")));
        }
        add.exec_async(&mut redis.connection()).await?;
    }
    Ok(())
}

/// Removes what the rivals have left.
async fn clear(redis: &Redis) -> anyhow::Result<()> {
    let mut unlink = redis::cmd("UNLINK");
    unlink.arg(redis.key("acks"));
    for number in 0..1000 {
        let mut name = String::from("lease:");
        write!(name, "{number:012}")?;
        unlink.arg(redis.key(&name));
    }
    Ok(unlink.exec_async(&mut redis.connection()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_whatever_the_command() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\"\n\"ZREM a,b c\",\"2500.50\",\"0.1\"\n";
        assert_eq!(rate(text), Some(2500.5));
        assert_eq!(rate("nothing"), None);
    }
}
