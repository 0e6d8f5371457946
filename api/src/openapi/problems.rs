//! The errors of an operation as the document lists them: by status, with an example for each code.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use rocket::http::Status;
use serde_json::Value;
use shop_common::id::ProductId;
use shop_common::products::Revision;
use utoipa::IntoResponses;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};
use uuid::Uuid;

use super::header;
use crate::error::ApiError;

/// Some errors that operations have in common.
pub(crate) trait Errors {
    /// An example of each.
    fn errors() -> Vec<ApiError>;
}

/// The errors of an operation, and those that any may have.
pub(crate) struct Problems<E>(PhantomData<E>);

impl<E: Errors> IntoResponses for Problems<E> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut by_status: BTreeMap<u16, Vec<ApiError>> = BTreeMap::new();
        for error in E::errors().into_iter().chain(Anywhere::errors()) {
            let same = by_status.entry(error.status().code).or_default();
            if same.iter().all(|known| known.code() != error.code()) {
                same.push(error);
            }
        }
        by_status.into_iter().map(|(status, errors)| (status.to_string(), response(&errors).into())).collect()
    }
}

/// The errors of one status.
pub(super) fn response(errors: &[ApiError]) -> Response {
    let codes: Vec<String> = errors.iter().map(|error| format!("`{}`", error.code())).collect();
    let examples = errors.iter().map(|error| {
        let value: Option<Value> = serde_json::from_slice(&error.body(Some("0199b7a0"))).ok();
        (error.code().to_owned(), ExampleBuilder::new().summary(error.to_string()).value(value).build())
    });
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).examples_from_iter(examples);
    let mut response =
        ResponseBuilder::new().description(codes.join(", ")).content("application/problem+json", content.build());
    if errors.iter().any(|error| error.status() == Status::Unauthorized) {
        response = response.header("WWW-Authenticate", header("How to authenticate: `Bearer`."));
    }
    if errors.iter().any(|error| error.retry_after().is_some()) {
        response = response.header("Retry-After", header("Seconds after which another try makes sense."));
    }
    response.build()
}

macro_rules! together {
    ($($set:ident),+) => {
        impl<$($set: Errors),+> Errors for ($($set,)+) {
            fn errors() -> Vec<ApiError> {
                [$($set::errors()),+].concat()
            }
        }
    };
}

impl Errors for () {
    fn errors() -> Vec<ApiError> {
        Vec::new()
    }
}

together!(A);
together!(A, B);
together!(A, B, C);
together!(A, B, C, D);
together!(A, B, C, D, E);
together!(A, B, C, D, E, F);
together!(A, B, C, D, E, F, G);
together!(A, B, C, D, E, F, G, H);

/// Names a set of errors for the document.
macro_rules! errors {
    ($(#[$doc:meta])* $name:ident: $($error:expr),+ $(,)?) => {
        $(#[$doc])*
        pub(crate) enum $name {}

        impl $crate::openapi::problems::Errors for $name {
            fn errors() -> Vec<$crate::error::ApiError> {
                use $crate::error::ApiError;
                vec![$($error),+]
            }
        }
    };
}
pub(crate) use errors;

errors! {
    /// What may go wrong with any request.
    Anywhere:
        ApiError::BadRequest("it is not what HTTP or this route expects".to_owned()),
        ApiError::HeadersTooLarge { limit: "16 KiB".to_owned() },
        ApiError::Overloaded,
        ApiError::Internal(String::new()),
}
errors! {
    /// A token is needed.
    SignedIn: ApiError::TokenMissing, ApiError::TokenInvalid, ApiError::TokenExpired, ApiError::TokenRevoked, ApiError::Unavailable
}
errors! {
    /// The token of an admin is needed.
    ForAdmins: ApiError::TokenMissing, ApiError::TokenInvalid, ApiError::TokenExpired, ApiError::TokenRevoked, ApiError::AdminOnly, ApiError::Unavailable
}
errors! {
    /// Requests are limited.
    Limits: ApiError::RateLimited(12)
}
errors! {
    /// A JSON body is read.
    Bodies:
        ApiError::InvalidBody("missing field `price` at line 1 column 22".to_owned()),
        ApiError::NestingTooDeep(127),
        ApiError::NotJson,
        ApiError::RequestTimeout,
        ApiError::TooLarge { limit: "256KiB".to_owned() },
}
errors! {
    /// The database is read.
    Reading: ApiError::Unavailable
}
errors! {
    /// The database is written.
    Commits: ApiError::Unavailable, ApiError::OutcomeUnknown
}
errors! {
    /// Parameters of the path or the query are read.
    Parameters: ApiError::InvalidParameter { parameter: "id", problem: "it must be a UUID".to_owned() }
}
errors! {
    /// A page may begin at a cursor.
    Cursors: ApiError::InvalidCursor
}
errors! {
    /// What is meant may be in another state.
    Conditions: ApiError::PreconditionFailed(Revision::default())
}
errors! {
    /// A product may be given a sku that another one has.
    Skus: ApiError::SkuTaken
}
errors! {
    /// There may be no such product.
    NoProduct: ApiError::NotFound { what: "product", id: ProductId(Uuid::nil()).to_string() }
}
errors! {
    /// There may be no such order, or it is somebody else's.
    NoOrder: ApiError::NotFound { what: "order", id: ProductId(Uuid::nil()).to_string() }
}
