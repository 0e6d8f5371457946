//! JSON bodies, read into types that cannot be wrong.

use std::time::Duration;

use rocket::Request;
use rocket::data::{Data, FromData, Outcome, ToByteUnit};
use rocket::http::ContentType;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::catchers::{Refused, refusal};
use crate::error::ApiError;

/// How long a body may take to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyTime(pub(crate) Duration);

/// A JSON body. Unknown fields, wrong types and values out of range are refused with the place where they are.
pub(crate) struct Body<T>(pub(crate) T);

#[rocket::async_trait]
impl<'r, T: DeserializeOwned> FromData<'r> for Body<T> {
    type Error = Refused;

    async fn from_data(request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r, Self> {
        match read(request, data).await {
            Ok(body) => Outcome::Success(Self(body)),
            Err(error) => Outcome::Error(refusal(request, error)),
        }
    }
}

async fn read<T: DeserializeOwned>(request: &Request<'_>, data: Data<'_>) -> Result<T, ApiError> {
    if request.content_type().is_none_or(|content| *content != ContentType::JSON) {
        return Err(ApiError::NotJson);
    }
    let limit = request.limits().get("json").unwrap_or(256.kibibytes());
    let time = request.rocket().state().map_or(Duration::ZERO, |BodyTime(time)| *time);
    let bytes = tokio::time::timeout(time, data.open(limit).into_bytes())
        .await
        .map_err(|_| ApiError::RequestTimeout)?
        .map_err(|error| ApiError::BadRequest(error.to_string()))?;
    if !bytes.is_complete() {
        return Err(ApiError::TooLarge { limit: limit.to_string() });
    }
    let Object(body) =
        serde_json::from_slice(&bytes).map_err(|error: serde_json::Error| ApiError::InvalidBody(error.to_string()))?;
    Ok(body)
}

/// A JSON object. Serde would read a struct from an array too, field by field.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        if !raw.get().starts_with('{') {
            return Err(D::Error::custom("an object is expected here"));
        }
        serde_json::from_str(raw.get()).map(Self).map_err(D::Error::custom)
    }
}
