//! `shopctl users`: who has an account.

use serde_json::json;
use shop_common::users::{Email, queries};

use crate::args::{Format, UsersRevokeArgs};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// Revokes all tokens of a user, and ends all their sessions.
pub(crate) async fn revoke(args: &UsersRevokeArgs) -> Result<(), Failure> {
    let email: Email = args.email.parse().map_err(|error| Failure::new(Exit::Refused, format!("EMAIL: {error}")))?;
    let shop = Shop::find(&args.shop.home.dir)?;
    let user = queries::revoke_tokens(&shop.pool, &email).await.map_err(database)?.ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("there is no user {}", email.as_str())).next("check the email")
    })?;
    match args.shop.output {
        Format::Json => output::json(&json!({ "userId": user.id, "email": email.as_str() }))?,
        Format::Table => output::table(["USER", "EMAIL"], vec![[user.id.to_string(), email.as_str().to_owned()]])?,
    }
    output::note(
        "their tokens are revoked, their sessions have ended, and their sockets are closed within two seconds",
    );
    Ok(())
}
