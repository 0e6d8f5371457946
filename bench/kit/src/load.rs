//! The load: connections that each ask again as soon as they have the answer.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::exchange::{self, Request};

/// How long each request took.
#[derive(Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Of requests in any order.
    pub fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// What so many of a thousand did not exceed.
    pub fn quantile(&self, per_mille: usize) -> Duration {
        let place = (self.0.len() * per_mille / 1000).min(self.0.len().saturating_sub(1));
        self.0.get(place).copied().unwrap_or_default()
    }
}

/// What a load came to.
#[derive(Debug)]
pub struct Loaded {
    /// Of all requests that began within the time.
    pub latencies: Latencies,
    /// Until the last answer.
    pub elapsed: Duration,
}

impl Loaded {
    /// Answers a second.
    pub fn per_second(&self) -> f64 {
        self.latencies.count() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Asks on so many connections for so long. `next` makes the requests, given the connection's number and how many it
/// has sent; all answers must have one of these statuses.
///
/// # Errors
/// When the server hangs up, or answers something else.
pub async fn run<Next>(
    port: u16,
    connections: usize,
    time: Duration,
    statuses: &'static [&'static str],
    next: Next,
) -> anyhow::Result<Loaded>
where
    Next: Fn(usize, usize) -> Request + Clone + Send + 'static,
{
    let begun = Instant::now();
    let end = begun + time;
    let mut tasks = JoinSet::new();
    for connection in 0..connections {
        let next = next.clone();
        tasks.spawn(one(port, end, statuses, move |sent| next(connection, sent)));
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done??);
    }
    anyhow::ensure!(!all.is_empty(), "nothing was answered");
    Ok(Loaded { latencies: Latencies::new(all), elapsed: begun.elapsed() })
}

async fn one(
    port: u16,
    end: Instant,
    statuses: &[&str],
    next: impl Fn(usize) -> Request,
) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (mut bytes, mut times) = (Vec::with_capacity(64 << 10), Vec::new());
    while Instant::now() < end {
        let request = next(times.len());
        let begun = Instant::now();
        stream.write_all(&request.0).await?;
        bytes.clear();
        let whole = loop {
            anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "the server has hung up");
            match exchange::length(&bytes)? {
                Some(whole) if bytes.len() >= whole => break whole,
                _ => {}
            }
        };
        times.push(begun.elapsed());
        anyhow::ensure!(bytes.len() == whole, "more than an answer");
        let status = bytes.get(9..12).and_then(|status| std::str::from_utf8(status).ok()).context("no status")?;
        anyhow::ensure!(statuses.contains(&status), "an answer of {status}: {}", String::from_utf8_lossy(&bytes));
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_was_measured() {
        let latencies = Latencies::new((1..=1000).rev().map(Duration::from_micros).collect());
        assert_eq!(latencies.quantile(500), Duration::from_micros(501));
        assert_eq!(latencies.quantile(990), Duration::from_micros(991));
        assert_eq!(Latencies::default().quantile(500), Duration::ZERO);
    }
}
