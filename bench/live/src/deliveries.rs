//! What was told against what was heard: every change once, and how late.

use std::time::{Duration, Instant};

use crate::client::Heard;

/// What came of a feed.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    /// Of the changes told since the beginning of the measurement: how long each took, shortest first.
    pub(crate) latencies: Vec<Duration>,
    /// Changes that nobody heard of.
    pub(crate) missing: usize,
    /// Changes that were heard of again.
    pub(crate) duplicates: usize,
    /// Numbers that were never told.
    pub(crate) strays: usize,
    /// Changes that came after a later one.
    pub(crate) disordered: usize,
    /// Sockets that ended early or heard something else, and what the first of them says.
    pub(crate) troubled: usize,
    pub(crate) trouble: Option<String>,
}

impl Deliveries {
    /// Compares, customer by customer. What was told before `since` must have come too, but its time does not count.
    pub(crate) fn judge(told: &[Vec<Instant>], heard: Vec<Heard>, since: Instant) -> Self {
        let mut deliveries = Self::default();
        for (told, heard) in told.iter().zip(heard) {
            deliveries.add(told, &heard.changes, since);
            if let Some(trouble) = heard.trouble {
                deliveries.troubled += 1;
                deliveries.trouble.get_or_insert(trouble);
            }
        }
        deliveries.latencies.sort_unstable();
        deliveries
    }

    fn add(&mut self, told: &[Instant], heard: &[(usize, Instant)], since: Instant) {
        let mut seen = vec![false; told.len()];
        let mut last = 0;
        for (number, came) in heard {
            let at = number.wrapping_sub(1);
            match told.get(at) {
                None => self.strays += 1,
                Some(_) if seen[at] => self.duplicates += 1,
                Some(told) => {
                    seen[at] = true;
                    self.disordered += usize::from(*number < last);
                    last = *number;
                    if *told >= since {
                        self.latencies.push(came.saturating_duration_since(*told));
                    }
                }
            }
        }
        self.missing += seen.iter().filter(|seen| !**seen).count();
    }

    /// Everything that is not as it should be.
    pub(crate) fn problems(&self) -> Vec<String> {
        let counts = [
            (self.missing, "changes missing"),
            (self.duplicates, "changes delivered again"),
            (self.strays, "numbers that were never told"),
            (self.disordered, "changes out of order"),
        ];
        let mut problems: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{what}: {count}")).collect();
        if let Some(trouble) = &self.trouble {
            problems.push(format!("sockets in trouble: {}, one of them: {trouble}", self.troubled));
        }
        problems
    }

    /// The latency in milliseconds that this share of the deliveries, in percent, did not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Option<f64> {
        percentile(&self.latencies, percent)
    }
}

/// The milliseconds that this share of times, in percent, does not exceed (nearest rank). They are sorted.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.max(1) - 1).map(|time| time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(changes: &[(usize, Instant)], trouble: Option<&str>) -> Heard {
        Heard { changes: changes.to_vec(), trouble: trouble.map(str::to_owned) }
    }

    #[test]
    fn a_whole_feed_has_no_problems_and_only_the_measured_part_counts() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let told = [vec![ms(0), ms(10)], vec![ms(20)]];
        let all = vec![heard(&[(1, ms(5)), (2, ms(13))], None), heard(&[(1, ms(21))], None)];

        let deliveries = Deliveries::judge(&told, all, ms(10));

        assert!(deliveries.problems().is_empty());
        assert_eq!(deliveries.latencies, [Duration::from_millis(1), Duration::from_millis(3)]);
        assert_eq!((deliveries.percentile(50), deliveries.percentile(99)), (Some(1.0), Some(3.0)));
    }

    #[test]
    fn what_is_lost_doubled_strange_or_out_of_order_is_counted() {
        let now = Instant::now();
        let told = [vec![now; 4], vec![now]];
        let numbers = [(2, now), (1, now), (2, now), (9, now), (0, now)];

        let deliveries = Deliveries::judge(&told, vec![heard(&numbers, None), heard(&[], Some("closed"))], now);

        assert_eq!(
            deliveries.problems(),
            [
                "changes missing: 3",
                "changes delivered again: 1",
                "numbers that were never told: 2",
                "changes out of order: 1",
                "sockets in trouble: 1, one of them: closed",
            ]
        );
    }
}
