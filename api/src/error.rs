//! Every error of the API, with its status and its stable code: the only place that knows both.
//!
//! The body is `application/problem+json` (RFC 9457). Clients decide by `code`;
//! `detail` is for people and may change.

pub(crate) mod counted;

use std::sync::Arc;

use rocket::Request;
use rocket::http::{ContentType, Header, Status};
use rocket::response::{self, Responder, Response};
use serde::Serialize;
use shop_common::id::ProductId;
use shop_common::orders::decision::Refusal;
use shop_common::orders::place::PlaceError;
use shop_common::orders::status::OrderStatus;
use shop_common::orders::{Lines, Quantity};
use shop_common::products::Revision;
use shop_common::products::queries::{CreateError, EditError};
use utoipa::ToSchema;

use crate::about::About;
use crate::methods::Methods;
use crate::requests::RequestId;
use crate::trace::Trace;

/// Why a request is not answered as it was meant.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("the request cannot be read: {0}")]
    BadRequest(String),
    #[error("{0}")]
    InvalidBody(String),
    #[error("{parameter}: {problem}")]
    InvalidParameter { parameter: &'static str, problem: String },
    #[error("`after` is no cursor of this list in this order with these filters, start again without it")]
    InvalidCursor,
    #[error("a quantity must be a whole number from 1 to {most}: {0}", most = Quantity::MAX)]
    InvalidQuantity(String),
    #[error("an order can have at most {} items", Lines::MAX)]
    TooManyItems,
    #[error("the body has more than {0} objects and arrays inside each other")]
    NestingTooDeep(usize),
    #[error("send a JSON body with `Content-Type: application/json`")]
    NotJson,
    #[error("the body did not come in time, send the request again; nothing was done")]
    RequestTimeout,
    #[error("the body is larger than {limit}")]
    TooLarge { limit: String },
    #[error("the headers are larger than {limit} together")]
    HeadersTooLarge { limit: String },
    #[error("send a token: `Authorization: Bearer …`, which POST /login gives")]
    TokenMissing,
    #[error("the token is not valid, get another one from POST /login")]
    TokenInvalid,
    #[error("the token has expired, get another one from POST /auth/refresh, or POST /login")]
    TokenExpired,
    #[error("the token was revoked, get another one from POST /login")]
    TokenRevoked,
    #[error("the refresh token is unknown, has expired, or its session has ended; log in with POST /login")]
    RefreshTokenInvalid,
    #[error("the refresh token was used before: its session has ended, log in with POST /login")]
    RefreshTokenReused,
    #[error("the ticket was used already or has expired, get another one from POST /auth/ws-ticket")]
    TicketInvalid,
    #[error("pages of this origin may not use the api; its operator can add it to `live.origins`")]
    OriginNotAllowed,
    #[error("email or password is wrong")]
    WrongCredentials,
    #[error("the current password is wrong; nothing was changed")]
    WrongPassword,
    #[error("only an admin may do this")]
    AdminOnly,
    #[error("there is no {what} {id}")]
    NotFound { what: &'static str, id: String },
    #[error("there is nothing at this address")]
    NoRoute,
    #[error("this address does not have this method, only {0}")]
    MethodNotAllowed(Methods),
    #[error("the product is not what it was, its tag is \"{0}\" by now; read it again and decide anew")]
    PreconditionFailed(Revision),
    #[error("an account with this email exists already, log in instead")]
    EmailTaken,
    #[error("another product has this sku, give this one another")]
    SkuTaken,
    #[error("{}", refusal_detail(.0))]
    Refused(Refusal),
    #[error("this Idempotency-Key was used for another request, use a new key for a new order")]
    KeyReused,
    #[error("a request with this Idempotency-Key has not ended yet, send it again in a second")]
    KeyInFlight,
    #[error("the order is being charged, look in a second how that ended")]
    ChargeInFlight,
    #[error("the order is {} already", .0.as_str())]
    OrderAlreadyEnded(OrderStatus),
    #[error("the order is {}, only a COMPLETED one can be refunded", .0.as_str())]
    OrderNotRefundable(OrderStatus),
    #[error("the refund of this order was asked for already, with `restock` {restock}, and that stays")]
    RefundAlreadyRequested { restock: bool },
    #[error("too many requests, wait for {0} seconds")]
    RateLimited(u64),
    #[error("this user has {0} sockets open on this server already, close one first")]
    TooManySockets(usize),
    #[error("too many sockets are being opened, connect again in {0} seconds")]
    TooManyConnects(u64),
    #[error("the shop is busy, send the request again in a second; nothing was done")]
    Overloaded,
    #[error(
        "the shop cannot reach its database; no order was placed; look whether anything else was done, and send the request again in a moment"
    )]
    Unavailable,
    #[error(
        "the connection to the database broke, and it may be done or not; send the request again (an order with the same Idempotency-Key), or look at GET /orders"
    )]
    OutcomeUnknown,
    #[error("something went wrong here; it is in the log under this request's id")]
    Internal(String),
    #[error("the request was not accepted ({0})")]
    Other(u16),
}

/// The body of every error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem<'a> {
    /// Always `about:blank`: `code` says more.
    r#type: &'static str,
    /// What the status means.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What it is: stable, for programs to decide by.
    code: &'static str,
    /// What happened and what to do, for people. It may change.
    detail: String,
    /// The product that was the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<ProductId>,
    /// The name of the request in the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl ApiError {
    /// The status and the code.
    fn kind(&self) -> (Status, &'static str) {
        match self {
            Self::BadRequest(_) => (Status::BadRequest, "bad_request"),
            Self::InvalidBody(_) => (Status::BadRequest, "invalid_body"),
            Self::InvalidParameter { .. } => (Status::BadRequest, "invalid_parameter"),
            Self::InvalidCursor => (Status::BadRequest, "invalid_cursor"),
            Self::InvalidQuantity(_) => (Status::BadRequest, "invalid_quantity"),
            Self::TooManyItems => (Status::BadRequest, "too_many_items"),
            Self::NestingTooDeep(_) => (Status::BadRequest, "nesting_too_deep"),
            Self::NotJson => (Status::UnsupportedMediaType, "unsupported_media_type"),
            Self::RequestTimeout => (Status::RequestTimeout, "request_timeout"),
            Self::TooLarge { .. } => (Status::PayloadTooLarge, "body_too_large"),
            Self::HeadersTooLarge { .. } => (Status::RequestHeaderFieldsTooLarge, "headers_too_large"),
            Self::TokenMissing => (Status::Unauthorized, "token_missing"),
            Self::TokenInvalid => (Status::Unauthorized, "token_invalid"),
            Self::TokenExpired => (Status::Unauthorized, "token_expired"),
            Self::TokenRevoked => (Status::Unauthorized, "token_revoked"),
            Self::RefreshTokenInvalid => (Status::Unauthorized, "refresh_token_invalid"),
            Self::RefreshTokenReused => (Status::Unauthorized, "refresh_token_reused"),
            Self::TicketInvalid => (Status::Unauthorized, "ticket_invalid"),
            Self::OriginNotAllowed => (Status::Forbidden, "origin_not_allowed"),
            Self::WrongCredentials => (Status::Unauthorized, "wrong_credentials"),
            Self::WrongPassword => (Status::Forbidden, "wrong_password"),
            Self::AdminOnly => (Status::Forbidden, "admin_only"),
            Self::NotFound { .. } => (Status::NotFound, "not_found"),
            Self::NoRoute => (Status::NotFound, "no_route"),
            Self::MethodNotAllowed(_) => (Status::MethodNotAllowed, "method_not_allowed"),
            Self::PreconditionFailed(_) => (Status::PreconditionFailed, "precondition_failed"),
            Self::EmailTaken => (Status::Conflict, "email_taken"),
            Self::SkuTaken => (Status::Conflict, "sku_taken"),
            Self::Refused(Refusal::UnknownProduct(_)) => (Status::UnprocessableEntity, "unknown_product"),
            Self::Refused(Refusal::InsufficientStock { .. }) => (Status::UnprocessableEntity, "insufficient_stock"),
            Self::Refused(Refusal::TotalTooLarge) => (Status::UnprocessableEntity, "total_too_large"),
            Self::KeyReused => (Status::UnprocessableEntity, "idempotency_key_reused"),
            Self::KeyInFlight => (Status::Conflict, "idempotency_key_in_flight"),
            Self::ChargeInFlight => (Status::Conflict, "charge_in_flight"),
            Self::OrderAlreadyEnded(_) => (Status::Conflict, "order_already_ended"),
            Self::OrderNotRefundable(_) => (Status::Conflict, "order_not_refundable"),
            Self::RefundAlreadyRequested { .. } => (Status::Conflict, "refund_already_requested"),
            Self::RateLimited(_) => (Status::TooManyRequests, "rate_limited"),
            Self::TooManySockets(_) => (Status::TooManyRequests, "too_many_sockets"),
            Self::TooManyConnects(_) | Self::Overloaded => (Status::ServiceUnavailable, "overloaded"),
            Self::Unavailable => (Status::ServiceUnavailable, "database_unavailable"),
            Self::OutcomeUnknown => (Status::ServiceUnavailable, "outcome_unknown"),
            Self::Internal(_) => (Status::InternalServerError, "internal_error"),
            Self::Other(code) => (Status::new(*code), "not_accepted"),
        }
    }

    /// The status.
    pub(crate) fn status(&self) -> Status {
        self.kind().0
    }

    /// The code.
    pub(crate) fn code(&self) -> &'static str {
        self.kind().1
    }

    /// After how many seconds another try makes sense.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited(seconds) | Self::TooManyConnects(seconds) => Some(*seconds),
            Self::KeyInFlight | Self::ChargeInFlight | Self::Overloaded | Self::Unavailable | Self::OutcomeUnknown => {
                Some(1)
            }
            _ => None,
        }
    }

    /// The body. The id of the request is left out of what is kept under an idempotency key.
    pub(crate) fn body(&self, request_id: Option<&str>) -> Vec<u8> {
        let (status, code) = self.kind();
        let product_id = match self {
            Self::Refused(Refusal::UnknownProduct(product) | Refusal::InsufficientStock { product, .. }) => {
                Some(*product)
            }
            _ => None,
        };
        let title = status.reason().unwrap_or("Error");
        let detail = self.to_string();
        let problem =
            Problem { r#type: "about:blank", title, status: status.code, code, detail, product_id, request_id };
        serde_json::to_vec(&problem).unwrap_or_default()
    }
}

fn refusal_detail(refusal: &Refusal) -> String {
    match refusal {
        Refusal::UnknownProduct(product) => format!("there is no product {product}"),
        Refusal::InsufficientStock { product, requested, available } => {
            format!("of product {product} there are {available} left, {requested} were asked for")
        }
        Refusal::TotalTooLarge => "the order's total is too large".to_owned(),
    }
}

/// A database that cannot be reached, or is busy, is no fault of the request; anything else is a fault of ours.
impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        (&error).into()
    }
}

impl From<&sqlx::Error> for ApiError {
    fn from(error: &sqlx::Error) -> Self {
        match error {
            // The token is good, but its user is gone.
            sqlx::Error::Database(refused)
                if refused.constraint().is_some_and(|name| name.ends_with("_user_exists")) =>
            {
                Self::TokenInvalid
            }
            sqlx::Error::Database(refused) => match refused.code().as_deref() {
                // Locks and deadlocks, and a server that goes down or comes up.
                Some("55P03" | "40P01" | "40001") => Self::Overloaded,
                Some(code) if code.starts_with("57") || code.starts_with("53") => Self::Unavailable,
                _ => Self::Internal(error.to_string()),
            },
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Protocol(_) => {
                tracing::warn!(%error, "PostgreSQL is away");
                Self::Unavailable
            }
            _ => Self::Internal(error.to_string()),
        }
    }
}

impl From<PlaceError> for ApiError {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::Overloaded => Self::Overloaded,
            PlaceError::KeyReused => Self::KeyReused,
            PlaceError::KeyInFlight => Self::KeyInFlight,
            PlaceError::Database(error) => Self::from(&*error),
            PlaceError::Unknown(_) | PlaceError::Lost => Self::OutcomeUnknown,
        }
    }
}

impl From<CreateError> for ApiError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::SkuTaken => Self::SkuTaken,
            CreateError::Database(error) => error.into(),
        }
    }
}

impl From<EditError> for ApiError {
    fn from(error: EditError) -> Self {
        match error {
            EditError::UnknownProduct(id) => Self::NotFound { what: "product", id: id.to_string() },
            EditError::Changed(revision) => Self::PreconditionFailed(revision),
            EditError::SkuTaken => Self::SkuTaken,
            EditError::Database(error) => error.into(),
        }
    }
}

impl<'r> Responder<'r, 'static> for ApiError {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        self.answer(request)
    }
}

/// An error that several requests have run into together.
pub(crate) struct SharedError(Arc<ApiError>);

impl From<ApiError> for SharedError {
    fn from(error: ApiError) -> Self {
        Self(Arc::new(error))
    }
}

impl From<Arc<ApiError>> for SharedError {
    fn from(error: Arc<ApiError>) -> Self {
        Self(error)
    }
}

impl<'r> Responder<'r, 'static> for SharedError {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        self.0.answer(request)
    }
}

impl ApiError {
    fn answer(&self, request: &Request<'_>) -> response::Result<'static> {
        self.count();
        let id = RequestId::of(request);
        About::of(request).outcome(self.kind().1);
        if let Self::Internal(cause) = self {
            let parent = Trace::of(request).context().parent;
            let (trace_id, span_id) = (parent.trace_id, parent.span_id);
            tracing::error!(request_id = id.as_str(), %trace_id, %span_id, cause, "a request failed");
        }
        let body = self.body(Some(id.as_str()));
        let mut response = Response::build();
        response
            .status(self.status())
            .header(ContentType::new("application", "problem+json"))
            .sized_body(body.len(), std::io::Cursor::new(body));
        if self.status() == Status::Unauthorized {
            response.header(Header::new("WWW-Authenticate", "Bearer"));
        }
        if let Self::MethodNotAllowed(methods) = &self {
            response.header(methods.allow());
        }
        if let Some(seconds) = self.retry_after() {
            response.header(Header::new("Retry-After", seconds.to_string()));
        }
        response.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SOURCE: &str = include_str!("error.rs");
    const DOCUMENT: &str = include_str!("../../docs/api.md");

    /// What `kind` says, read from its source, so that there is no second list that somebody could forget.
    fn codes() -> BTreeSet<(String, String)> {
        let (_, kind) = SOURCE.split_once("fn kind(&self)").unwrap();
        let (kind, _) = kind.split_once("/// The status.").unwrap();
        let names: Vec<(u16, String)> =
            (400..600).filter_map(|code| Some((code, Status::new(code).reason()?.replace([' ', '-'], "")))).collect();
        let written = |name: &str| {
            let known = names.iter().find(|(_, reason)| reason.eq_ignore_ascii_case(name));
            known.map_or_else(|| "other".to_owned(), |(code, _)| code.to_string())
        };
        kind.split("(Status::")
            .skip(1)
            .map(|arm| {
                let name = arm.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap();
                (written(name), arm.split('"').nth(1).unwrap().to_owned())
            })
            .collect()
    }

    /// What the document says.
    pub(super) fn documented() -> BTreeSet<(String, String)> {
        let (_, errors) = DOCUMENT.split_once("## Errors").unwrap();
        let (errors, _) = errors.split_once("\n## ").unwrap();
        errors
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split_once(" | `"))
            .map(|(status, rest)| (status.to_owned(), rest.split('`').next().unwrap().to_owned()))
            .collect()
    }

    #[test]
    fn every_code_is_in_the_document_with_its_status_and_no_other_is() {
        let documented = documented();
        let codes = codes();
        assert!(codes.contains(&("404".to_owned(), "not_found".to_owned())) && codes.len() > 30, "{codes:?}");
        assert_eq!(codes.difference(&documented).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "undocumented");
        assert_eq!(documented.difference(&codes).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "unknown");
    }
}
