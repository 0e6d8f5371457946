//! What Rocket answers when no handler does: the same problem documents as the handlers' own.

use rocket::http::Status;
use rocket::outcome::Outcome;
use rocket::{Request, catch, request, uri};

use crate::error::ApiError;
use crate::methods::Methods;

/// The error of every guard. It says nothing, because Rocket logs it, and what was
/// wrong with a request may hold a secret.
#[derive(Debug)]
pub(crate) struct Refused;

/// Why a guard refused a request, kept for the catcher, which is told the status only.
#[derive(Debug, Clone)]
struct Refusal(Option<ApiError>);

/// Refuses a request from inside a guard.
pub(crate) fn refuse<S>(request: &Request<'_>, error: ApiError) -> request::Outcome<S, Refused> {
    Outcome::Error(refusal(request, error))
}

/// Keeps the error for the catcher, and gives what a guard answers.
pub(crate) fn refusal(request: &Request<'_>, error: ApiError) -> (Status, Refused) {
    let status = error.status();
    request.local_cache(|| Refusal(Some(error)));
    (status, Refused)
}

/// Refuses a request from inside a fairing, which cannot answer: nothing is routed there, and the catcher finds the reason.
pub(crate) fn turn_away(request: &mut Request<'_>, error: ApiError) {
    refusal(request, error);
    request.set_uri(uri!("/turned-away"));
}

#[catch(default)]
pub(crate) fn problem(status: Status, request: &Request<'_>) -> ApiError {
    if let Refusal(Some(error)) = request.local_cache(|| Refusal(None)) {
        return error.clone();
    }
    match status.code {
        400 => ApiError::BadRequest("it is not what HTTP or this route expects".to_owned()),
        401 => ApiError::TokenMissing,
        404 => match Methods::of(request) {
            Some(methods) if !methods.has(request.method()) => ApiError::MethodNotAllowed(methods),
            _ => ApiError::NoRoute,
        },
        413 => ApiError::TooLarge { limit: "the limit".to_owned() },
        500 => ApiError::Internal("a handler panicked".to_owned()),
        503 => ApiError::Overloaded,
        code => ApiError::Other(code),
    }
}
