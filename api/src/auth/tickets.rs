//! `/auth/ws-ticket`: a ticket for `/ws`, for browsers, which cannot send a header with it.

use std::time::Duration;

use rocket::http::Status;
use rocket::request::{FromRequest, Outcome};
use rocket::serde::json::Json;
use rocket::{Request, State, post};
use serde::Serialize;
use shop_common::users::tickets::{self, Holder};
use utoipa::ToSchema;

use super::guard::Caller;
use super::revocation::Revocations;
use crate::catchers::{Refused, refuse};
use crate::db::Db;
use crate::error::ApiError;
use crate::openapi::problems::{Commits, Limits, Problems, SignedIn};
use crate::rate_limit::{Connects, Limited, RateLimits, Writes};

/// How long a ticket is good.
pub(crate) struct TicketTime(pub(crate) Duration);

/// A ticket that opens one WebSocket.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ticket {
    /// For `/ws?ticket=…`.
    ticket: String,
    /// How long it is good, in seconds.
    expires_in: u64,
}

/// Get a ticket for a WebSocket
///
/// For browsers, which cannot send a header with it.
#[utoipa::path(
    post,
    path = "/auth/ws-ticket",
    tag = "auth",
    operation_id = "issueTicket",
    security(("token" = [])),
    responses((status = 201, description = "The ticket", body = Ticket), Problems<(SignedIn, Limits, Commits)>)
)]
#[post("/auth/ws-ticket")]
pub(crate) async fn issue(
    caller: Caller,
    _limit: Limited<Writes>,
    time: &State<TicketTime>,
    db: &Db,
) -> Result<(Status, Json<Ticket>), ApiError> {
    let ticket = tickets::issue(db.pool(), &caller.holder, time.0).await?;
    let ticket = ticket.expose().to_owned();
    Ok((Status::Created, Json(Ticket { ticket, expires_in: time.0.as_secs() })))
}

/// Who opens a socket: by the token of the header, or by a ticket in the query, which is spent with that.
pub(crate) struct SocketHolder(pub(crate) Holder);

impl SocketHolder {
    async fn of(request: &Request<'_>) -> Result<Holder, ApiError> {
        let holder = Self::unlimited(request).await?;
        if let Some(limits) = request.rocket().state::<RateLimits>() {
            limits.check_request::<Connects>(request, &holder.user_id.to_string()).await?;
        }
        Ok(holder)
    }

    async fn unlimited(request: &Request<'_>) -> Result<Holder, ApiError> {
        let Some(ticket) = request.query_value::<&str>("ticket") else {
            return Caller::of(request).await.as_ref().map(|caller| caller.holder).map_err(Clone::clone);
        };
        let (Ok(ticket), Outcome::Success(db)) = (ticket, request.guard::<&Db>().await) else {
            return Err(ApiError::TicketInvalid);
        };
        let holder = tickets::redeem(db.pool(), ticket).await?.ok_or(ApiError::TicketInvalid)?;
        request.rocket().state::<Revocations>().ok_or(ApiError::TicketInvalid)?.check(&holder)?;
        Ok(holder)
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for SocketHolder {
    type Error = Refused;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Refused> {
        match Self::of(request).await {
            Ok(holder) => Outcome::Success(Self(holder)),
            Err(error) => refuse(request, error),
        }
    }
}
