//! Admission: no sockets for pages that may not have any, and so many a second and no more, so that a crowd
//! that comes back after a restart does not hold up the requests of the others.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use rocket::Request;
use rocket::request::{FromRequest, Outcome};

use crate::catchers::{Refused, refuse};
use crate::error::ApiError;
use crate::origin::Origins;

/// How many more may come in.
pub(crate) struct Turnstile(DefaultDirectRateLimiter);

impl Turnstile {
    pub(crate) fn new(per_second: u32) -> Self {
        Self(RateLimiter::direct(Quota::per_second(NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN))))
    }
}

/// Proof that one more socket may be opened now, from where it was asked for.
pub(crate) struct Admitted;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Admitted {
    type Error = Refused;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Refused> {
        if let Some(Err(error)) = request.rocket().state::<Origins>().map(|origins| origins.check(request)) {
            return refuse(request, error);
        }
        match request.rocket().state::<Turnstile>() {
            Some(turnstile) if turnstile.0.check().is_err() => refuse(request, ApiError::Overloaded),
            _ => Outcome::Success(Self),
        }
    }
}
