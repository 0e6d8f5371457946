//! Queries: a parameter that is there twice is refused.

use std::collections::BTreeSet;

use rocket::Request;
use rocket::form::{Form, FromForm, ValueField};
use rocket::request::{FromRequest, Outcome};

use crate::catchers::{Refused, refuse};
use crate::error::ApiError;

/// The parameters of a query, each there once.
///
/// Not read any further: who has the answer to this query already need not know what it says.
pub(crate) struct Query<'r>(Vec<ValueField<'r>>);

impl<'r> Query<'r> {
    /// Reads them.
    ///
    /// # Errors
    /// When a parameter cannot be one of `T`.
    pub(crate) fn read<T: FromForm<'r>>(&self) -> Result<T, ApiError> {
        Form::parse_iter(self.0.iter().cloned()).map_err(|errors| ApiError::BadRequest(errors.to_string()))
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Query<'r> {
    type Error = Refused;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Refused> {
        match NamedOnce::from_request(request).await {
            Outcome::Success(NamedOnce) => Outcome::Success(Self(request.query_fields().collect())),
            Outcome::Error(refused) => Outcome::Error(refused),
            Outcome::Forward(status) => Outcome::Forward(status),
        }
    }
}

/// No parameter of the query is there twice.
///
/// Rocket takes a parameter that may be left out and is there twice for one that is not there. A filter would be
/// ignored, and nobody would know.
pub(crate) struct NamedOnce;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for NamedOnce {
    type Error = Refused;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Refused> {
        let mut seen = BTreeSet::new();
        let twice = request.query_fields().find_map(|field| {
            let name = field.name.key_lossy().as_str();
            (!seen.insert(name)).then_some(name)
        });
        let Some(name) = twice else { return Outcome::Success(Self) };
        // Only a name that looks like one is repeated.
        let plain = name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_alphabetic());
        let which = if plain { name } else { "a parameter" };
        refuse(request, ApiError::InvalidParameter { parameter: "query", problem: format!("{which} is there twice") })
    }
}
