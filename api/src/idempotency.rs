//! The `Idempotency-Key` header.

use rocket::Request;
use rocket::request::{FromRequest, Outcome};
use shop_common::orders::idempotency::{IdempotencyKey, IdempotencyKeyError};

use crate::catchers::{Refused, refuse};
use crate::error::ApiError;

/// The key that the client gave this request, if it gave one.
pub(crate) struct Key(pub(crate) Option<IdempotencyKey>);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Key {
    type Error = Refused;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Refused> {
        let mut keys = request.headers().get("Idempotency-Key").map(str::parse);
        let problem = match (keys.next().transpose(), keys.next()) {
            (Ok(key), None) => return Outcome::Success(Self(key)),
            (Err(error), _) => IdempotencyKeyError::to_string(&error),
            // One of them would count, and nobody would know which.
            (Ok(_), Some(_)) => "it must be there once".to_owned(),
        };
        refuse(request, ApiError::InvalidParameter { parameter: "Idempotency-Key", problem })
    }
}
