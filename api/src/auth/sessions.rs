//! `/auth/refresh`, `/auth/logout`, `/auth/logout-all`: how a session goes on, and how it ends.

use rocket::http::{Header, Status};
use rocket::response::{self, Responder, Response};
use rocket::serde::json::Json;
use rocket::{Request, State, post};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use shop_common::db;
use shop_common::users::sessions::{self, Opened, Reason, RefreshError};
use shop_common::users::{Identity, queries};
use utoipa::ToSchema;

use super::guard::Caller;
use super::revocation::Revocations;
use super::tokens::{Signer, Tokens};
use crate::body::Body;
use crate::db::Db;
use crate::error::ApiError;
use crate::openapi::problems::{Bodies, Commits, Limits, Problems, SignedIn, errors};
use crate::rate_limit::{Limited, Writes};

/// What a login gives, named as OAuth names it (RFC 6749, 5.1); the reference backend has the first one only.
#[derive(Serialize, ToSchema)]
pub(crate) struct Access {
    /// For `Authorization: Bearer …`.
    access_token: String,
    /// For the next pair, once: POST /auth/refresh.
    refresh_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds until the access token expires.
    expires_in: i64,
}

impl Access {
    /// The tokens of a session that has just begun or gone on.
    pub(super) fn to(identity: &Identity, session: &Opened, signer: &Signer<'_>) -> Result<Self, ApiError> {
        let issued = signer.issue(identity, session.id, session.expires_at)?;
        Ok(Self {
            access_token: issued.token,
            refresh_token: session.refresh_token.expose().to_owned(),
            token_type: "Bearer",
            expires_in: issued.seconds,
        })
    }
}

/// Nobody on the way may keep it.
impl<'r> Responder<'r, 'static> for Access {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let body = Json(self).respond_to(request)?;
        Response::build_from(body).header(Header::new("Cache-Control", "no-store")).ok()
    }
}

/// Logs somebody in.
pub(super) async fn begin(db: &Db, tokens: &Tokens, identity: &Identity) -> Result<Access, ApiError> {
    let signer = tokens.signer()?;
    let session = sessions::open(db.pool(), identity, tokens.lifetimes()).await?;
    Access::to(identity, &session, &signer)
}

/// What a session goes on with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    #[schema(value_type = String, format = Password)]
    refresh_token: SecretString,
}

errors! {
    /// A refresh token may not be good, or not any more.
    Refreshing: ApiError::RefreshTokenInvalid, ApiError::RefreshTokenReused
}

/// Get the next pair of tokens
///
/// For a refresh token that nobody has used yet. One that is used twice ends its session: somebody has a copy.
#[utoipa::path(
    post,
    path = "/auth/refresh",
    tag = "auth",
    operation_id = "refresh",
    request_body = Refresh,
    responses((status = 200, description = "The next pair", body = Access), Problems<(Limits, Bodies, Refreshing, Commits)>)
)]
#[post("/auth/refresh", data = "<body>")]
pub(crate) async fn refresh(
    _limit: Limited<Writes>,
    body: Body<Refresh>,
    db: &Db,
    tokens: &State<Tokens>,
    revocations: &State<Revocations>,
) -> Result<Access, ApiError> {
    let Body(Refresh { refresh_token }) = body;
    let signer = tokens.signer()?;
    let (pool, lifetimes) = (db.pool().clone(), *tokens.lifetimes());
    let refreshed = db::bounded(async move { sessions::refresh(&pool, &refresh_token.into(), &lifetimes).await });
    let counter = |outcome| metrics::counter!("shop_token_refreshes_total", "outcome" => outcome);
    match refreshed.await.ok_or(ApiError::OutcomeUnknown)? {
        Ok((identity, session)) => {
            counter("refreshed").increment(1);
            Access::to(&identity, &session, &signer)
        }
        Err(RefreshError::Reused { session, user }) => {
            tracing::warn!(%session, %user, "a refresh token was used twice, its session has ended");
            counter("reused").increment(1);
            revocations.note_session(user, session);
            Err(ApiError::RefreshTokenReused)
        }
        Err(RefreshError::Invalid) => {
            counter("invalid").increment(1);
            Err(ApiError::RefreshTokenInvalid)
        }
        Err(RefreshError::Database(error)) => Err(error.into()),
        Err(RefreshError::Unknown(_)) => Err(ApiError::OutcomeUnknown),
    }
}

/// End this session
#[utoipa::path(
    post,
    path = "/auth/logout",
    tag = "auth",
    operation_id = "logout",
    security(("token" = [])),
    responses((status = 204, description = "It has ended, with its tokens and sockets"), Problems<(SignedIn, Limits, Commits)>)
)]
#[post("/auth/logout")]
pub(crate) async fn logout(
    caller: Caller,
    _limit: Limited<Writes>,
    db: &Db,
    revocations: &State<Revocations>,
) -> Result<Status, ApiError> {
    let session = caller.holder.session_id;
    sessions::revoke(db.pool(), session, Reason::Logout).await?;
    revocations.note_session(caller.id, session);
    Ok(Status::NoContent)
}

/// End all your sessions
#[utoipa::path(
    post,
    path = "/auth/logout-all",
    tag = "auth",
    operation_id = "logoutAll",
    security(("token" = [])),
    responses((status = 204, description = "They have ended, with their tokens and sockets"), Problems<(SignedIn, Limits, Commits)>)
)]
#[post("/auth/logout-all")]
pub(crate) async fn logout_all(
    caller: Caller,
    _limit: Limited<Writes>,
    db: &Db,
    revocations: &State<Revocations>,
) -> Result<Status, ApiError> {
    let identity = queries::revoke_tokens_of(db.pool(), caller.id).await?.ok_or(ApiError::TokenInvalid)?;
    revocations.note_user(identity.id, identity.token_generation);
    Ok(Status::NoContent)
}
