//! `login tell`: whether the time of a failed login tells if the email has an account.
//!
//! One account is made, and then wrong passwords are tried for it and for emails that nobody has, one after the
//! other, in an order that chance decides. Were the two alike, whoever guesses by the time which was which would be
//! right half the time.

use std::time::Duration;

use rand::seq::SliceRandom;
use uuid::Uuid;

use crate::shop::Shop;
use crate::{millis, percentile};

/// Above that many standard deviations, chance is no explanation.
const LIMIT: f64 = 4.0;

/// Measures, and gives whether they cannot be told apart.
pub(crate) async fn run(shop: &Shop, tries: u32) -> anyhow::Result<bool> {
    let email = shop.register().await?;
    let mut known_ones: Vec<bool> = (0..tries).map(|n| n % 2 == 0).collect();
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
    println!("known email     median {:7.3} ms  ({} logins)", millis(percentile(&mut known, 50)), known.len());
    println!("unknown email   median {:7.3} ms  ({} logins)", millis(percentile(&mut unknown, 50)), unknown.len());
    println!("guessed right   {:.1} % of pairs (50 % is chance), z = {:.2}", told.share * 100.0, told.z);
    let alike = told.z.abs() < LIMIT;
    println!("{}", if alike { "they cannot be told apart" } else { "they can be told apart" });
    Ok(alike)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn times(times: impl Iterator<Item = u64>) -> Vec<Duration> {
        times.map(Duration::from_micros).collect()
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
