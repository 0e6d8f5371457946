//! The load: connections that each ask again as soon as they have the answer.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::exchange::{self, Request};

/// How long each request took.
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// What so many of a thousand did not exceed.
    pub(crate) fn quantile(&self, per_mille: usize) -> Duration {
        let place = (self.0.len() * per_mille / 1000).min(self.0.len().saturating_sub(1));
        self.0.get(place).copied().unwrap_or_default()
    }
}

/// Asks on so many connections for so long.
pub(crate) async fn run(port: u16, request: &Request, connections: usize, time: Duration) -> anyhow::Result<Latencies> {
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(one(port, request.clone(), end));
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done??);
    }
    all.sort_unstable();
    Ok(Latencies(all))
}

async fn one(port: u16, request: Request, end: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (mut bytes, mut times) = (Vec::with_capacity(64 << 10), Vec::new());
    while Instant::now() < end {
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
        anyhow::ensure!(bytes.len() == whole, "more than an answer");
        let status = bytes.get(9..12).context("no status")?;
        anyhow::ensure!(status == b"200" || status == b"304", "an answer of {}", String::from_utf8_lossy(status));
        times.push(begun.elapsed());
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_was_measured() {
        let latencies = Latencies((1..=1000).map(Duration::from_micros).collect());
        assert_eq!(latencies.quantile(500), Duration::from_micros(501));
        assert_eq!(latencies.quantile(990), Duration::from_micros(991));
        assert_eq!(Latencies(Vec::new()).quantile(500), Duration::ZERO);
    }
}
