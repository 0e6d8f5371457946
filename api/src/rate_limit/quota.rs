//! Quotas and verdicts: how much a client may ask for, and what is said of one request. Pure.

use std::num::NonZeroU32;
use std::time::Duration;

use shop_common::config;

/// So many requests at once, and one more after each interval: the parameters of GCRA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    interval: Duration,
    burst: NonZeroU32,
}

impl From<config::RateLimit> for Quota {
    fn from(config::RateLimit { per_minute, burst }: config::RateLimit) -> Self {
        // Redis counts in whole microseconds.
        Self { interval: Duration::from_micros((60_000_000 / u64::from(per_minute.get())).max(1)), burst }
    }
}

impl Quota {
    /// How long it takes until one request more is let in.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// Requests that are let in at once.
    pub(crate) fn burst(&self) -> NonZeroU32 {
        self.burst
    }

    /// How long it takes until a quota that was used up is whole again.
    pub(crate) fn window(&self) -> Duration {
        self.interval.saturating_mul(self.burst.get())
    }

    /// Requests that are let in at once, when the quota will be whole again in that time.
    fn left(&self, whole_in: Duration) -> u32 {
        let room = self.window().saturating_sub(whole_in).as_micros() / self.interval.as_micros();
        u32::try_from(room).unwrap_or(u32::MAX)
    }
}

/// What a limit says of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether it is let in.
    pub(crate) admitted: bool,
    /// How many more would be let in at once.
    pub(crate) left: u32,
    /// Where some are left: until the quota is whole again. Where none is: until the next is let in.
    pub(crate) wait: Duration,
}

impl Verdict {
    /// The verdict of a limit whose quota will be whole again in that time.
    pub(crate) fn new(admitted: bool, quota: Quota, whole_in: Duration) -> Self {
        match quota.left(whole_in) {
            0 => Self { admitted, left: 0, wait: (whole_in + quota.interval).saturating_sub(quota.window()) },
            left => Self { admitted, left, wait: whole_in },
        }
    }

    /// The wait in whole seconds, rounded up, so that who waits for so long has waited long enough.
    pub(crate) fn seconds(&self) -> u64 {
        seconds_up(self.wait)
    }
}

/// Whole seconds, rounded up.
pub(super) fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quotas() -> impl Strategy<Value = Quota> {
        (1..=1_000_000_u32, 1..=100_000_u32).prop_map(|(per_minute, burst)| {
            config::RateLimit { per_minute: per_minute.try_into().unwrap(), burst: burst.try_into().unwrap() }.into()
        })
    }

    proptest! {
        #[test]
        fn who_waits_for_as_long_as_was_said_is_let_in(quota in quotas(), used in 0.0..=1.0_f64) {
            let whole_in = quota.window().mul_f64(used);
            let verdict = Verdict::new(false, quota, whole_in);

            let later = whole_in.saturating_sub(Duration::from_secs(verdict.seconds()));
            prop_assert!(quota.left(later) >= 1);
            if verdict.left > 0 {
                prop_assert_eq!(quota.left(later), quota.burst.get());
            } else {
                prop_assert!(verdict.wait > Duration::ZERO, "or nobody would have been refused");
                prop_assert!(verdict.wait <= quota.interval);
            }
        }

        #[test]
        fn a_whole_quota_is_its_burst_and_a_spent_one_is_nothing(quota in quotas()) {
            prop_assert_eq!(quota.left(Duration::ZERO), quota.burst.get());
            prop_assert_eq!(quota.left(quota.window()), 0);
        }
    }
}
