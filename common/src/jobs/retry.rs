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

    proptest! {
        #[test]
        fn it_is_never_above_the_cap_nor_below_half_of_the_full_delay(retries: i32, jitter in 0.0..=1.0) {
            let delay = BACKOFF.delay(retries, jitter);
            prop_assert!(delay <= BACKOFF.cap);
            prop_assert!(delay >= BACKOFF.delay(retries, 1.0) / 2);
        }
    }
}
