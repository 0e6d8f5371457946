//! The `Idempotency-Key` header.

use rocket::Request;
use rocket::request::{FromRequest, Outcome};
use shop_common::orders::idempotency::IdempotencyKey;

use crate::catchers::{Refused, refuse};
use crate::error::ApiError;

/// The key that the client gave this request, if it gave one.
pub(crate) struct Key(pub(crate) Option<IdempotencyKey>);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Key {
    type Error = Refused;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Refused> {
        match request.headers().get_one("Idempotency-Key").map(str::parse).transpose() {
            Ok(key) => Outcome::Success(Self(key)),
            Err(error) => {
                let problem = format!("{error}");
                refuse(request, ApiError::InvalidParameter { parameter: "Idempotency-Key", problem })
            }
        }
    }
}
