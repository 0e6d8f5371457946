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

use crate::auth::hashing::Hasher;
use crate::auth::sessions::{Access, begin};
use crate::auth::tokens::Tokens;
use crate::body::Body;
use crate::db::Db;
use crate::error::ApiError;
use crate::rate_limit::{Limited, Login, Register};

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

#[post("/register", data = "<body>")]
pub(crate) async fn register(
    _limit: Limited<Register>,
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
    Ok((Status::Created, begin(db, tokens, &identity).await?))
}

#[post("/auth/register", data = "<body>")]
pub(crate) async fn register_as_reference(
    limit: Limited<Register>,
    body: Body<Registration>,
    db: &Db,
    hasher: &State<Hasher>,
    tokens: &State<Tokens>,
) -> Result<(Status, Access), ApiError> {
    register(limit, body, db, hasher, tokens).await
}

/// One answer for an unknown email and a wrong password, in the same time.
#[post("/login", data = "<body>")]
pub(crate) async fn login(
    _limit: Limited<Login>,
    body: Body<Credentials>,
    db: &Db,
    hasher: &State<Hasher>,
    tokens: &State<Tokens>,
) -> Result<Access, ApiError> {
    let Body(Credentials { email, password }) = body;
    let user = match email.parse::<Email>() {
        Ok(email) => queries::find_for_login(db.pool(), &email).await?,
        Err(_) => None,
    };
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    // Looked for at boot too, but PostgreSQL may have been away then.
    let known_to_all = config::is_production() && seed::is_development_password(&password);
    let verified = hasher.run(move || password::verify(&password, hash.as_deref())).await?;
    let matches = !known_to_all && !matches!(verified, Verified::No);
    let user = user.filter(|_| matches).ok_or(ApiError::WrongCredentials)?;
    if let Verified::Outdated(new) = verified
        && let Err(error) = queries::rehash(db.pool(), user.identity.id, &user.password_hash, &new).await
    {
        tracing::warn!(%error, "a hash stays as cheap as it was until the next login");
    }
    begin(db, tokens, &user.identity).await
}

#[post("/auth/login", data = "<body>")]
pub(crate) async fn login_as_reference(
    limit: Limited<Login>,
    body: Body<Credentials>,
    db: &Db,
    hasher: &State<Hasher>,
    tokens: &State<Tokens>,
) -> Result<Access, ApiError> {
    login(limit, body, db, hasher, tokens).await
}
