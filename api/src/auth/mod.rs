//! Accounts: registering and logging in.

pub(crate) mod guard;
pub(crate) mod hashing;
pub(crate) mod revocation;
pub(crate) mod tickets;
pub(crate) mod tokens;

use rocket::http::Status;
use rocket::serde::json::Json;
use rocket::{State, post};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use shop_common::users::password::{self, StrongPassword};
use shop_common::users::queries::{self, CreateUserError, NewUser};
use shop_common::users::{Email, Role, UserName};
use shop_common::{config, seed};

use crate::auth::hashing::Hasher;
use crate::auth::tokens::Tokens;
use crate::body::Body;
use crate::db::Db;
use crate::error::ApiError;
use crate::rate_limit::{Logins, Register};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    email: String,
    password: SecretString,
    name: Option<UserName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    email: String,
    password: SecretString,
}

/// A token, named as the reference backend names it.
#[derive(Serialize)]
pub(crate) struct Access {
    access_token: String,
}

#[post("/register", data = "<body>")]
pub(crate) async fn register(
    logins: Logins<'_, Register>,
    body: Body<Registration>,
    db: &Db,
    hasher: &State<Hasher>,
    tokens: &State<Tokens>,
) -> Result<(Status, Json<Access>), ApiError> {
    let Body(Registration { email, password, name }) = body;
    let email: Email = email.parse().map_err(|error| ApiError::InvalidBody(format!("email: {error}")))?;
    let password: StrongPassword =
        password.try_into().map_err(|error| ApiError::InvalidBody(format!("password: {error}")))?;
    let password_hash =
        hasher.run(move || password::hash(&password)).await?.map_err(|error| ApiError::Internal(error.to_string()))?;
    let user = NewUser { email, name, password_hash, role: Role::Client };
    let identity = queries::create(db.pool(), &user).await.map_err(|error| match error {
        CreateUserError::EmailTaken => ApiError::EmailTaken,
        CreateUserError::Database(error) => error.into(),
    })?;
    logins.succeeded(user.email.as_str()).await;
    Ok((Status::Created, Json(Access { access_token: tokens.issue(&identity)? })))
}

#[post("/auth/register", data = "<body>")]
pub(crate) async fn register_as_reference(
    logins: Logins<'_, Register>,
    body: Body<Registration>,
    db: &Db,
    hasher: &State<Hasher>,
    tokens: &State<Tokens>,
) -> Result<(Status, Json<Access>), ApiError> {
    register(logins, body, db, hasher, tokens).await
}

/// One answer for an unknown email and a wrong password, in the same time.
#[post("/login", data = "<body>")]
pub(crate) async fn login(
    logins: Logins<'_>,
    body: Body<Credentials>,
    db: &Db,
    hasher: &State<Hasher>,
    tokens: &State<Tokens>,
) -> Result<Json<Access>, ApiError> {
    let Body(Credentials { email, password }) = body;
    logins.attempt(&email).await?;
    let user = match email.parse::<Email>() {
        Ok(email) => queries::find_for_login(db.pool(), &email).await?,
        Err(_) => None,
    };
    let (identity, hash) = user.unzip();
    // Looked for at boot too, but PostgreSQL may have been away then.
    let known_to_all = config::is_production() && seed::is_development_password(&password);
    let matches = hasher.run(move || password::verify(&password, hash.as_deref())).await?;
    let identity = identity.filter(|_| matches && !known_to_all).ok_or(ApiError::WrongCredentials)?;
    logins.succeeded(&email).await;
    Ok(Json(Access { access_token: tokens.issue(&identity)? }))
}

#[post("/auth/login", data = "<body>")]
pub(crate) async fn login_as_reference(
    logins: Logins<'_>,
    body: Body<Credentials>,
    db: &Db,
    hasher: &State<Hasher>,
    tokens: &State<Tokens>,
) -> Result<Json<Access>, ApiError> {
    login(logins, body, db, hasher, tokens).await
}
