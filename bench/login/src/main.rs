//! `login` measures what guessing passwords gives away, whom it holds up, and how many log in a second.

mod crowd;
mod hash;
mod rate;
mod shop;
mod tell;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use shop_bench_kit::options::Options;

use crate::shop::Shop;

/// Measure logins
///
/// For `tell` and `crowd`, the shop must run with SHOP_RATE_LIMITS=off; they leave with 0 if the goal is reached, and
/// with 1 if it is not. `rate` starts a shop of its own.
#[derive(Parser, Debug)]
#[command(version, max_term_width = 100)]
struct Args {
    /// Where the shop is
    #[arg(long, env = "BASE_URL", default_value = "http://127.0.0.1:3000", value_name = "URL", global = true)]
    shop: String,

    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand, Debug)]
enum Bench {
    /// Whether their time tells which emails have accounts
    Tell {
        /// Failed logins, half of them with an email that has an account
        #[arg(long, default_value = "2000", value_name = "N", value_parser = clap::value_parser!(u32).range(20..))]
        tries: u32,
    },
    /// Whether they hold up those who look at products
    Crowd {
        /// Wrong passwords
        #[arg(long, default_value = "10000", value_name = "N")]
        guesses: usize,

        /// Clients that guess at the same time
        #[arg(long, default_value = "64", value_name = "N")]
        clients: usize,
    },
    /// How many log in a second, beside the hash alone, and whether they hold up those who look at products
    Rate(Options),
    /// Check a password again and again, and say how often a second: the rival, which `rate` starts
    #[command(hide = true)]
    Hash {
        /// Threads that do so
        threads: usize,
        /// For how long
        seconds: u64,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let reached = match args.bench {
        Bench::Tell { tries } => tell::run(&Shop::new(args.shop)?, tries).await?,
        Bench::Crowd { guesses, clients } => crowd::run(&Shop::new(args.shop)?, guesses, clients).await?,
        Bench::Rate(options) => rate::run(&options).await.map(|()| true)?,
        Bench::Hash { threads, seconds } => hash::run(threads, Duration::from_secs(seconds)).map(|()| true)?,
    };
    Ok(if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The time that so many percent did not exceed.
fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// In milliseconds.
fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let mut times: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut times, 50), Duration::from_millis(101));
        assert_eq!(percentile(&mut times, 99), Duration::from_millis(199));
        assert_eq!(percentile(&mut [], 99), Duration::ZERO);
    }
}
