//! Who is asking: the guards that handlers name when they need to know.

use rocket::Request;
use rocket::request::{FromRequest, Outcome};
use shop_common::id::UserId;
use shop_common::users::Role;
use shop_common::users::tickets::Holder;

use super::revocation::Revocations;
use super::tokens::Tokens;
use crate::about::About;
use crate::catchers::{Refused, refuse};
use crate::error::ApiError;

/// A user with a good token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) id: UserId,
    role: Role,
    /// What the token stands for.
    pub(crate) holder: Holder,
}

impl Caller {
    /// Who is asking, checked once per request.
    pub(crate) async fn of<'r>(request: &'r Request<'_>) -> &'r Result<Self, ApiError> {
        let check = async {
            let tokens: &Tokens = request.rocket().state().ok_or(ApiError::TokenInvalid)?;
            let revocations: &Revocations = request.rocket().state().ok_or(ApiError::TokenInvalid)?;
            let header = request.headers().get_one("Authorization").ok_or(ApiError::TokenMissing)?;
            Self::with_token(tokens, revocations, bearer(header).ok_or(ApiError::TokenInvalid)?).await
        };
        let caller = request.local_cache_async(check).await;
        if let Ok(caller) = caller {
            About::of(request).user(caller.id);
        }
        caller
    }

    /// Whether it is an admin.
    pub(crate) fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Who has that token.
    pub(crate) async fn with_token(tokens: &Tokens, revocations: &Revocations, token: &str) -> Result<Self, ApiError> {
        let claims = tokens.check(token).await?;
        revocations.check(&claims.holder)?;
        Ok(Self { id: claims.holder.user_id, role: claims.role, holder: claims.holder })
    }
}

/// The token of an `Authorization` header.
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Caller {
    type Error = Refused;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Refused> {
        match Self::of(request).await {
            Ok(caller) => Outcome::Success(caller.clone()),
            Err(error) => refuse(request, error.clone()),
        }
    }
}

/// A user with a good token who is an admin.
#[derive(Debug, Clone)]
pub(crate) struct Admin(pub(crate) Caller);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Admin {
    type Error = Refused;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Refused> {
        match Caller::of(request).await {
            Ok(caller) if caller.is_admin() => Outcome::Success(Self(caller.clone())),
            Ok(_) => refuse(request, ApiError::AdminOnly),
            Err(error) => refuse(request, error.clone()),
        }
    }
}
