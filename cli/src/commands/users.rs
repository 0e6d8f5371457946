//! `shopctl users`: who has an account.

use serde::Serialize;
use shop_common::id::UserId;
use shop_common::users::{Email, queries};
use utoipa::ToSchema;

use crate::args::users::{UsersCommand, UsersRevokeArgs};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// `shopctl users …`.
pub(crate) async fn run(command: UsersCommand) -> Result<(), Failure> {
    match command {
        UsersCommand::Revoke(args) => revoke(&args).await,
    }
}

/// Whose tokens are revoked.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevokedUser {
    user_id: UserId,
    email: Email,
}

/// Revokes all tokens of a user, and ends all their sessions.
async fn revoke(args: &UsersRevokeArgs) -> Result<(), Failure> {
    let email: Email = args.email.parse().map_err(|error| Failure::new(Exit::Refused, format!("EMAIL: {error}")))?;
    let shop = Shop::find(&args.shop.home.dir)?;
    let user = queries::revoke_tokens(&shop.pool, &email).await.map_err(database)?.ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("there is no user {}", email.as_str())).next("check the email")
    })?;
    output::one(args.shop.output, &RevokedUser { user_id: user.id, email }, |RevokedUser { user_id, email }| {
        output::table(["USER", "EMAIL"], vec![[user_id.to_string(), email.as_str().to_owned()]])
    })?;
    output::note(
        "their tokens are revoked, their sessions have ended, and their sockets are closed within two seconds",
    );
    Ok(())
}
