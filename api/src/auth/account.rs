//! `/auth/me` and `/auth/password`: one's own account.

use rocket::serde::json::Json;
use rocket::{State, get, post};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use shop_common::users::password::{self, StrongPassword, Verified};
use shop_common::users::queries::{self, Account};
use shop_common::users::sessions;
use utoipa::ToSchema;

use super::guard::Caller;
use super::hashing::Hasher;
use super::revocation::Revocations;
use super::sessions::Access;
use super::tokens::Tokens;
use crate::body::Body;
use crate::db::Db;
use crate::error::ApiError;
use crate::openapi::problems::{Bodies, Commits, Limits, Problems, Reading, SignedIn, errors};
use crate::rate_limit::{Limited, Passwords, Reads};

/// Show your account
#[utoipa::path(
    get,
    path = "/auth/me",
    tag = "auth",
    operation_id = "me",
    security(("token" = [])),
    responses((status = 200, description = "Who the token stands for", body = Account), Problems<(SignedIn, Limits, Reading)>)
)]
#[get("/auth/me")]
pub(crate) async fn me(caller: Caller, _limit: Limited<Reads>, db: &Db) -> Result<Json<Account>, ApiError> {
    // The token is good, but its user is gone.
    queries::account(db.pool(), caller.id).await?.map(Json).ok_or(ApiError::TokenInvalid)
}

/// A password in place of another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    #[schema(value_type = String, format = Password, example = "Corr3ct-horse")]
    current_password: SecretString,
    /// As for a new account, and another one than before.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1024, example = "B4ttery-staple")]
    new_password: SecretString,
}

errors! {
    /// The password of before may be wrong.
    ChangingPassword: ApiError::WrongPassword
}

/// Set another password
///
/// All sessions end, and another one begins. It is limited as logins are, or else a stolen token would do for guessing
/// the password.
#[utoipa::path(
    post,
    path = "/auth/password",
    tag = "auth",
    operation_id = "changePassword",
    security(("token" = [])),
    request_body = NewPassword,
    responses(
        (status = 200, description = "The tokens of a new session", body = Access),
        Problems<(SignedIn, Limits, Bodies, ChangingPassword, Commits)>
    )
)]
#[post("/auth/password", data = "<body>")]
pub(crate) async fn change_password(
    caller: Caller,
    _limit: Limited<Passwords>,
    body: Body<NewPassword>,
    db: &Db,
    hasher: &State<Hasher>,
    tokens: &State<Tokens>,
    revocations: &State<Revocations>,
) -> Result<Access, ApiError> {
    let Body(NewPassword { current_password, new_password }) = body;
    let signer = tokens.signer()?;
    let login = queries::login_of(db.pool(), caller.id).await?.ok_or(ApiError::TokenInvalid)?;
    let (email, hash) = (login.identity.email.clone(), login.password_hash);
    let password_hash = hasher
        .run(move || {
            if matches!(password::verify(&current_password, Some(&hash)), Verified::No) {
                return Err(ApiError::WrongPassword);
            }
            if current_password.expose_secret() == new_password.expose_secret() {
                return Err(ApiError::InvalidBody("new_password: it must be another one than before".to_owned()));
            }
            let password = StrongPassword::chosen(new_password, &[email.as_str()])
                .map_err(|error| ApiError::InvalidBody(format!("new_password: {error}")))?;
            password::hash(&password).map_err(|error| ApiError::Internal(error.to_string()))
        })
        .await??;
    let changed = sessions::change_password(db.pool(), &login.identity, &password_hash, tokens.lifetimes()).await?;
    let (identity, session) = changed.ok_or(ApiError::TokenRevoked)?;
    revocations.note_user(identity.id, identity.token_generation);
    Access::to(&identity, &session, &signer)
}
