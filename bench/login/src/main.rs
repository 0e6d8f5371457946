//! Asks a shop whether the time of a failed login tells if the email has an account.
//!
//! One account is made, and then wrong passwords are tried for it and for emails that nobody has, one after the
//! other, in an order that chance decides. Were the two alike, whoever guesses by the time which was which would be
//! right half the time.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use rand::seq::SliceRandom;
use reqwest::{Client, StatusCode};
use serde_json::json;
use uuid::Uuid;

/// Above that many standard deviations, chance is no explanation.
const LIMIT: f64 = 4.0;

/// Measure whether failed logins tell known emails from unknown ones by their time
///
/// The shop must run with SHOP_RATE_LIMITS=off. Leaves with 0 if it cannot be told, and with 1 if it can.
#[derive(Parser, Debug)]
#[command(version, max_term_width = 100)]
struct Args {
    /// Where the shop is
    #[arg(long, env = "BASE_URL", default_value = "http://127.0.0.1:3000", value_name = "URL")]
    shop: String,

    /// Failed logins, half of them with an email that has an account
    #[arg(long, default_value = "2000", value_name = "N", value_parser = clap::value_parser!(u32).range(20..))]
    tries: u32,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let shop = Shop { http: Client::builder().no_proxy().build()?, url: args.shop };
    let email = format!("{}@login.example", Uuid::now_v7());
    shop.register(&email).await?;
    let mut known_ones: Vec<bool> = (0..args.tries).map(|n| n % 2 == 0).collect();
    known_ones.shuffle(&mut rand::rng());

    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    // The first ones open the connection and warm everything up.
    for _ in 0..10 {
        shop.fail(&email).await?;
    }
    for is_known in known_ones {
        let nobody = format!("{}@login.example", Uuid::now_v7());
        let took = shop.fail(if is_known { &email } else { &nobody }).await?;
        if is_known { &mut known } else { &mut unknown }.push(took);
    }

    let told = Told::of(&known, &unknown);
    println!("known email     median {:7.3} ms  ({} logins)", median(&mut known), known.len());
    println!("unknown email   median {:7.3} ms  ({} logins)", median(&mut unknown), unknown.len());
    println!("guessed right   {:.1} % of pairs (50 % is chance), z = {:.2}", told.share * 100.0, told.z);
    let alike = told.z.abs() < LIMIT;
    println!("{}", if alike { "they cannot be told apart" } else { "they can be told apart" });
    Ok(if alike { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Shop {
    http: Client,
    url: String,
}

impl Shop {
    async fn register(&self, email: &str) -> anyhow::Result<()> {
        let account = json!({ "email": email, "password": "Corr3ct-horse" });
        let answer = self.http.post(format!("{}/register", self.url)).json(&account).send().await?;
        ensure!(answer.status() == StatusCode::CREATED, "registering: {}", answer.text().await?);
        Ok(())
    }

    /// How long it takes until a login has failed.
    async fn fail(&self, email: &str) -> anyhow::Result<Duration> {
        let guess = json!({ "email": email, "password": "Wr0ng-horse" });
        let begun = Instant::now();
        let answer = self.http.post(format!("{}/login", self.url)).json(&guess).send().await?;
        let status = answer.status();
        answer.bytes().await.context("reading the answer")?;
        let took = begun.elapsed();
        ensure!(status == StatusCode::UNAUTHORIZED, "a wrong password is answered {status}; are the rate limits off?");
        Ok(took)
    }
}

/// How well the times tell one kind from the other: the statistic of Mann and Whitney.
struct Told {
    /// Of all pairs, the share in which the known email took longer.
    share: f64,
    /// How many standard deviations that is from one half.
    z: f64,
}

impl Told {
    fn of(known: &[Duration], unknown: &[Duration]) -> Self {
        let (n, m) = (known.len() as f64, unknown.len() as f64);
        let mut all: Vec<(Duration, bool)> = Vec::new();
        all.extend(known.iter().map(|took| (*took, true)));
        all.extend(unknown.iter().map(|took| (*took, false)));
        all.sort();
        // Nanoseconds hardly ever tie, so ranks are not averaged.
        let ranks: f64 =
            all.iter().zip(1_u32..).filter(|((_, known), _)| *known).map(|(_, rank)| f64::from(rank)).sum();
        let larger = ranks - n * (n + 1.0) / 2.0;
        let deviation = (n * m * (n + m + 1.0) / 12.0).sqrt();
        Self { share: larger / (n * m), z: (larger - n * m / 2.0) / deviation }
    }
}

/// In milliseconds.
fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn times(times: impl Iterator<Item = u64>) -> Vec<Duration> {
        times.map(Duration::from_micros).collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_is_alike_is_not_told_apart_and_what_is_slower_is() {
        let (even, odd) = (times((0..1000).map(|n| 2 * n)), times((0..1000).map(|n| 2 * n + 1)));
        let alike = Told::of(&even, &odd);
        assert!((alike.share - 0.5).abs() < 0.01 && alike.z.abs() < 1.0);

        let slower = times((0..1000).map(|n| 2 * n + 300));
        let told = Told::of(&slower, &odd);
        assert!(told.share > 0.6 && told.z > LIMIT);
    }
}
