//! Accounts: registering and logging in.

pub(crate) mod account;
pub(crate) mod guard;
pub(crate) mod hashing;
pub(crate) mod keys;
pub(crate) mod look;
pub(crate) mod revocation;
pub(crate) mod sessions;
pub(crate) mod tickets;
pub(crate) mod tokens;

use rocket::http::Status;
use rocket::{State, post};
use secrecy::SecretString;
use serde::Deserialize;
use shop_common::users::password::{self, StrongPassword, Verified};
use shop_common::users::queries::{self, CreateUserError, NewUser};
use shop_common::users::{Email, Role, UserName};
use shop_common::{config, seed};
use utoipa::ToSchema;

use crate::auth::hashing::Hasher;
use crate::auth::sessions::{Access, begin};
use crate::auth::tokens::Tokens;
use crate::body::Body;
use crate::db::Db;
use crate::error::ApiError;
use crate::openapi::problems::{Bodies, Commits, Limits, Problems, errors};
use crate::rate_limit::{Logins, Register};

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    #[schema(format = Email, example = "ada@example.com")]
    email: String,
    /// At least 8 characters, an upper case and a lower case letter, a digit and a symbol among them, and not easy to guess.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1024, example = "Corr3ct-horse")]
    password: SecretString,
    name: Option<UserName>,
}

/// What an account is entered with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    #[schema(example = "ada@example.com")]
    email: String,
    #[schema(value_type = String, format = Password, example = "Corr3ct-horse")]
    password: SecretString,
}

errors! {
    /// An account may exist.
    Registering: ApiError::EmailTaken
}
errors! {
    /// The credentials may be wrong.
    LoggingIn: ApiError::WrongCredentials
}

/// Register
#[utoipa::path(
    post,
    path = "/register",
    tag = "auth",
    operation_id = "register",
    request_body = Registration,
    responses(
        (status = 201, description = "The account exists; its first tokens", body = Access),
        Problems<(Limits, Bodies, Registering, Commits)>
    )
)]
#[post("/register", data = "<body>")]
pub(crate) async fn register(
    logins: Logins<'_, Register>,
    body: Body<Registration>,
    db: &Db,
    hasher: &State<Hasher>,
    tokens: &State<Tokens>,
) -> Result<(Status, Access), ApiError> {
    let Body(Registration { email, password, name }) = body;
    let email: Email = email.parse().map_err(|error| ApiError::InvalidBody(format!("email: {error}")))?;
    let known = email.clone();
    let password_hash = hasher
        .run(move || {
            let password = StrongPassword::chosen(password, &[known.as_str()])
                .map_err(|error| ApiError::InvalidBody(format!("password: {error}")))?;
            password::hash(&password).map_err(|error| ApiError::Internal(error.to_string()))
        })
        .await??;
    let user = NewUser { email, name, password_hash, role: Role::Client };
    let identity = queries::create(db.pool(), &user).await.map_err(|error| match error {
        CreateUserError::EmailTaken => ApiError::EmailTaken,
        CreateUserError::Database(error) => error.into(),
    })?;
    logins.succeeded(user.email.as_str()).await;
    Ok((Status::Created, begin(db, tokens, &identity).await?))
}

/// Register, at the reference backend's address
#[utoipa::path(
    post,
    path = "/auth/register",
    tag = "auth",
    operation_id = "registerAsReference",
    request_body = Registration,
    responses(
        (status = 201, description = "The account exists; its first tokens", body = Access),
        Problems<(Limits, Bodies, Registering, Commits)>
    )
)]
#[post("/auth/register", data = "<body>")]
pub(crate) async fn register_as_reference(
    logins: Logins<'_, Register>,
    body: Body<Registration>,
    db: &Db,
    hasher: &State<Hasher>,
    tokens: &State<Tokens>,
) -> Result<(Status, Access), ApiError> {
    register(logins, body, db, hasher, tokens).await
}

/// Log in
///
/// One answer for an unknown email and a wrong password, in the same time.
#[utoipa::path(
    post,
    path = "/login",
    tag = "auth",
    operation_id = "login",
    request_body = Credentials,
    responses((status = 200, description = "Tokens", body = Access), Problems<(Limits, Bodies, LoggingIn, Commits)>)
)]
#[post("/login", data = "<body>")]
pub(crate) async fn login(
    logins: Logins<'_>,
    body: Body<Credentials>,
    db: &Db,
    hasher: &State<Hasher>,
    tokens: &State<Tokens>,
) -> Result<Access, ApiError> {
    let Body(Credentials { email, password }) = body;
    logins.attempt(&email).await?;
    let user = match email.parse::<Email>() {
        Ok(email) => queries::find_for_login(db.pool(), &email).await?,
        Err(_) => None,
    };
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    // Looked for at boot too, but PostgreSQL may have been away then.
    let known_to_all = config::is_production() && seed::is_development_password(&password);
    let verified = hasher.run(move || password::verify(&password, hash.as_deref())).await?;
    let matches = !known_to_all && !matches!(verified, Verified::No);
    let outcome = if user.is_some() && matches { "succeeded" } else { "wrong_credentials" };
    metrics::counter!("shop_logins_total", "outcome" => outcome).increment(1);
    let user = user.filter(|_| matches).ok_or(ApiError::WrongCredentials)?;
    if let Verified::Outdated(new) = verified
        && let Err(error) = queries::rehash(db.pool(), user.identity.id, &user.password_hash, &new).await
    {
        tracing::warn!(%error, "a hash stays as cheap as it was until the next login");
    }
    logins.succeeded(&email).await;
    begin(db, tokens, &user.identity).await
}

/// Log in, at the reference backend's address
///
/// One answer for an unknown email and a wrong password, in the same time.
#[utoipa::path(
    post,
    path = "/auth/login",
    tag = "auth",
    operation_id = "loginAsReference",
    request_body = Credentials,
    responses((status = 200, description = "Tokens", body = Access), Problems<(Limits, Bodies, LoggingIn, Commits)>)
)]
#[post("/auth/login", data = "<body>")]
pub(crate) async fn login_as_reference(
    logins: Logins<'_>,
    body: Body<Credentials>,
    db: &Db,
    hasher: &State<Hasher>,
    tokens: &State<Tokens>,
) -> Result<Access, ApiError> {
    login(logins, body, db, hasher, tokens).await
}
