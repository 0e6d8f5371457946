//! Admission: who may knock, and when who is somebody may come in.
//!
//! Anybody may [knock](Knock), but not pages of other origins, and no address all the time. Who has shown a good
//! token or ticket passes the [`Turnstile`] one after the other, so that a crowd that comes back after a restart does
//! not hold up the requests of the others. That is written here and not taken from `governor`, which refuses what is too
//! early: a crowd that is refused comes back together. Who has to wait here waits, each a moment longer than the one before.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rocket::Request;
use rocket::request::{FromRequest, Outcome};
use tokio::time::{Instant, sleep_until};

use crate::catchers::{Refused, refuse};
use crate::error::ApiError;
use crate::origin::Origins;
use crate::rate_limit::{Knocks, Limited};

/// Who would have to wait longer is turned away.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// When the next socket may come in.
pub(crate) struct Turnstile {
    between: Duration,
    next: Mutex<Instant>,
}

impl Turnstile {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { between: Duration::from_secs(1) / per_second.max(1), next: Mutex::new(Instant::now()) }
    }

    /// Waits until it is one's turn.
    pub(super) async fn pass(&self) -> Result<(), ApiError> {
        let turn = self.turn(Instant::now()).map_err(|wait| ApiError::TooManyConnects(wait.as_secs() + 1))?;
        sleep_until(turn).await;
        Ok(())
    }

    /// When this one may come in, or how long it would have to wait.
    fn turn(&self, now: Instant) -> Result<Instant, Duration> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = now.max(*next);
        let wait = turn - now;
        if wait > LONGEST_WAIT {
            return Err(wait);
        }
        *next = turn + self.between;
        Ok(turn)
    }
}

/// Proof that somebody may try to open a socket.
pub(crate) struct Knock;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Knock {
    type Error = Refused;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Refused> {
        if let Some(Err(error)) = request.rocket().state::<Origins>().map(|origins| origins.check(request)) {
            return refuse(request, error);
        }
        request.guard::<Limited<Knocks>>().await.map(|_| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_comes_in_one_after_the_other_and_who_would_wait_too_long_is_told_how_long() {
        let turnstile = Turnstile::new(100);
        let begun = Instant::now();

        let turns: Vec<_> = (0..1001).map(|_| turnstile.turn(begun).map(|turn| turn - begun)).collect();

        let expected: Vec<_> = (0..1001).map(|n| Ok(Duration::from_millis(10 * n))).collect();
        assert_eq!(turns, expected);
        assert_eq!(turnstile.turn(begun), Err(Duration::from_millis(10_010)));

        let later = begun + Duration::from_secs(20);
        assert_eq!(turnstile.turn(later), Ok(later), "nobody has to wait when nobody waits");
    }
}
