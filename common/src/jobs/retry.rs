//! Backoff: how long to wait before the next try.

use std::time::Duration;

/// Exponential backoff with jitter: `base * 2^n`, never above the cap, of which a
/// random half is left out so that what failed together does not come back together.
///
/// "Equal jitter" in Marc Brooker's *Exponential Backoff And Jitter* (AWS, 2015).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first delay.
    pub base: Duration,
    /// The longest one.
    pub cap: Duration,
}

impl Backoff {
    /// The delay after so many retries. `jitter` is a random number from 0 to 1.
    pub fn delay(self, retries: i32, jitter: f64) -> Duration {
        let doublings = u32::try_from(retries.max(0)).unwrap_or(u32::MAX).min(31);
        let full = self.base.saturating_mul(1 << doublings).min(self.cap);
        full / 2 + (full / 2).mul_f64(jitter.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(300) };

    #[test]
    fn it_doubles_up_to_the_cap() {
        let seconds: Vec<u64> = (0..11).map(|n| BACKOFF.delay(n, 1.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    /// As the doc comment says it, in numbers that cannot overflow. (Above a hundred days it is rounded.)
    fn full(backoff: Backoff, retries: i32) -> u128 {
        (backoff.base.as_nanos() << retries.clamp(0, 31)).min(backoff.cap.as_nanos())
    }

    proptest! {
        #[test]
        fn it_is_half_of_base_times_two_to_the_n_and_jitter_decides_on_the_other_half(
            base in 0..100_u64, cap in 0..8_000_000_000_u64, retries in -2..70, jitter in 0.0..=1.0,
        ) {
            let backoff = Backoff { base: Duration::from_millis(base), cap: Duration::from_millis(cap) };
            let full = full(backoff, retries);

            let delay = backoff.delay(retries, jitter).as_nanos();

            prop_assert!(delay >= full / 2 && delay <= full);
            prop_assert!(backoff.delay(retries, 0.0) <= backoff.delay(retries, jitter));
            prop_assert!(backoff.delay(retries, jitter) <= backoff.delay(retries, 1.0));
            prop_assert!(full - backoff.delay(retries, 1.0).as_nanos() <= 1);
        }

        #[test]
        fn it_never_gets_shorter_and_never_overflows(base: u64, cap: u64, retries: i32, jitter: f64) {
            prop_assume!(!jitter.is_nan());
            let backoff = Backoff { base: Duration::from_secs(base), cap: Duration::from_secs(cap) };
            prop_assert!(backoff.delay(retries, jitter) <= backoff.delay(retries.saturating_add(1), jitter));
        }

        #[test]
        fn it_is_never_above_the_cap_nor_below_half_of_the_full_delay(retries: i32, jitter in 0.0..=1.0) {
            let delay = BACKOFF.delay(retries, jitter);
            prop_assert!(delay <= BACKOFF.cap);
            prop_assert!(delay >= BACKOFF.delay(retries, 1.0) / 2);
        }
    }
}
