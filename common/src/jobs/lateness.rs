//! How late jobs begin: counts of them by their lateness, small enough for a row of the table of workers.
//!
//! Buckets grow by a factor, as in an HDR histogram, so that a quantile is right within 19 % from a millisecond to days,
//! and what several workers have counted can be added up.

use std::time::Duration;

use serde::Serialize;

/// The first bucket is for what is less late than this.
const FIRST: Duration = Duration::from_millis(1);
/// Buckets until the bound has doubled.
const PER_DOUBLING: f64 = 4.0;
/// As many buckets there are: the last one is for what is later than twelve days.
const BUCKETS: usize = 121;

/// How many jobs began, by how late they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Starts(Vec<i32>);

/// What half of the jobs, and all but a hundredth of them, were late by at most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Lateness {
    /// Seconds that half of them were late by at most.
    pub p50: f64,
    /// Seconds that 99 of 100 were late by at most.
    pub p99: f64,
}

impl Starts {
    /// Counts as they are in the table.
    pub(super) fn of(counts: Vec<i32>) -> Self {
        Self(counts)
    }

    /// As they are in the table: a count for each bucket, up to the last one that has any.
    pub(super) fn counts(&self) -> &[i32] {
        &self.0
    }

    /// Counts a job that began so late.
    pub fn add(&mut self, late: Duration) {
        self.add_many(bucket(late), 1);
    }

    /// Adds what another worker has counted.
    pub fn add_all(&mut self, others: &Self) {
        for (bucket, jobs) in others.0.iter().enumerate() {
            self.add_many(bucket, *jobs);
        }
    }

    fn add_many(&mut self, bucket: usize, jobs: i32) {
        if self.0.len() <= bucket {
            self.0.resize(bucket + 1, 0);
        }
        if let Some(count) = self.0.get_mut(bucket) {
            *count = count.saturating_add(jobs);
        }
    }

    /// How late they were; nothing if none began.
    pub fn lateness(&self) -> Option<Lateness> {
        Some(Lateness { p50: self.quantile(0.5)?, p99: self.quantile(0.99)? })
    }

    /// The bound of the bucket in which that share of all is reached, in seconds.
    fn quantile(&self, share: f64) -> Option<f64> {
        let all: i64 = self.0.iter().map(|jobs| i64::from(*jobs)).sum();
        let mut left = (all as f64 * share).ceil();
        let bucket = self.0.iter().position(|jobs| {
            left -= f64::from(*jobs);
            left <= 0.0
        });
        bucket.filter(|_| all > 0).map(bound)
    }
}

/// Where a lateness is counted.
fn bucket(late: Duration) -> usize {
    let doublings = (late.as_secs_f64() / FIRST.as_secs_f64()).log2();
    // What is less late than the first bound has a negative logarithm, and belongs there too.
    let above = (doublings * PER_DOUBLING).floor() + 1.0;
    if above <= 0.0 {
        return 0;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is neither negative nor large")]
    let bucket = above.min(BUCKETS as f64 - 1.0) as usize;
    bucket
}

/// What is counted in a bucket is less late than this, in seconds.
fn bound(bucket: usize) -> f64 {
    FIRST.as_secs_f64() * (bucket as f64 / PER_DOUBLING).exp2()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_has_counted_nothing_knows_nothing() {
        assert_eq!(Starts::default().lateness(), None);
        assert_eq!(Starts::of(vec![0, 0]).lateness(), None);
    }

    #[test]
    fn of_a_hundred_jobs_one_does_not_count_for_the_ninety_nine() {
        let mut starts = Starts::default();
        (0..99).for_each(|_| starts.add(Duration::ZERO));
        starts.add(Duration::from_secs(60));
        assert_eq!(starts.lateness(), Some(Lateness { p50: 0.001, p99: 0.001 }));

        starts.add(Duration::from_secs(60));
        let late = starts.lateness().unwrap();
        assert!(late.p50 == 0.001 && (60.0..72.0).contains(&late.p99), "{late:?}");
    }

    #[test]
    fn what_two_have_counted_is_what_one_would_have() {
        let late = [3, 70, 900, 5, 1_000_000].map(Duration::from_millis);
        let (mut one, mut other, mut all) = (Starts::default(), Starts::default(), Starts::default());
        late.iter().for_each(|late| all.add(*late));
        late[..2].iter().for_each(|late| one.add(*late));
        late[2..].iter().for_each(|late| other.add(*late));
        one.add_all(&Starts::of(other.counts().to_vec()));
        assert_eq!(one, all);
    }

    proptest! {
        #[test]
        fn a_lateness_is_told_within_a_fifth(micros in 0..1_000_000_000_000_u64) {
            let late = Duration::from_micros(micros);
            let mut starts = Starts::default();
            starts.add(late);
            let told = starts.lateness().unwrap().p99;
            prop_assert!(told + 1e-9 >= late.as_secs_f64(), "{told}");
            prop_assert!(told <= (late.as_secs_f64() * 1.2).max(FIRST.as_secs_f64()), "{told}");
        }
    }
}
