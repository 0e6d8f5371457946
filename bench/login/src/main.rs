//! `login` measures what guessing passwords gives away, and whom it holds up.

mod crowd;
mod shop;
mod tell;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::shop::Shop;

/// Measure failed logins
///
/// The shop must run with SHOP_RATE_LIMITS=off. Leaves with 0 if the goal is reached, and with 1 if it is not.
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
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let shop = Shop::new(args.shop)?;
    let reached = match args.bench {
        Bench::Tell { tries } => tell::run(&shop, tries).await?,
        Bench::Crowd { guesses, clients } => crowd::run(&shop, guesses, clients).await?,
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
