//! `shopctl users`: who has an account.

use std::io;

use serde::Serialize;
use shop_common::id::UserId;
use shop_common::pagination::Direction;
use shop_common::users::directory::{self, ActiveSession, UserColumn, UserFilter, UserRecord};
use shop_common::users::queries::{self, Account};
use shop_common::users::{Email, Role, UserName};
use utoipa::ToSchema;

use crate::args::users::{RoleArg, UserArg, UserSort, UsersCommand, UsersListArgs, UsersRevokeArgs, UsersShowArgs};
use crate::exit::{Exit, Failure};
use crate::shop::{Shop, database};
use crate::{output, paging};

/// `shopctl users …`.
pub(crate) async fn run(command: UsersCommand) -> Result<(), Failure> {
    match command {
        UsersCommand::List(args) => list(&args).await,
        UsersCommand::Show(args) => show(&args).await,
        UsersCommand::Revoke(args) => revoke(&args).await,
    }
}

/// The user that is meant.
pub(crate) async fn find(shop: &Shop, user: &UserArg) -> Result<Account, Failure> {
    let (found, named) = match user {
        UserArg::Id(id) => (queries::account(&shop.pool, *id).await, id.to_string()),
        UserArg::Email(email) => (directory::find_by_email(&shop.pool, email).await, email.as_str().to_owned()),
    };
    found.map_err(database)?.ok_or_else(|| not_found(&named))
}

/// There is no such user.
pub(crate) fn not_found(named: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no user {named}"))
        .next("look for a part of the email with `shopctl users list --email TEXT`")
}

async fn list(args: &UsersListArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let role = args.role.map(|role| match role {
        RoleArg::Admin => Role::Admin,
        RoleArg::Client => Role::Client,
    });
    let filter = UserFilter { role, email: args.email.clone() };
    let (column, direction) = match args.sort {
        UserSort::Newest => (UserColumn::Id, Direction::Descending),
        UserSort::Email => (UserColumn::Email, Direction::Ascending),
    };
    let page = paging::request(&args.page, column, direction, &filter)?;
    let page = directory::list(&shop.pool, &filter, &page).await.map_err(database)?;
    let row = |user: &Account| {
        [
            user.id.to_string(),
            output::time(&user.created_at),
            user.role.as_str().to_owned(),
            user.email.as_str().to_owned(),
            output::or_dash(user.name.as_ref().map(UserName::as_str)),
        ]
    };
    paging::print(args.shop.output, &page, "users", ["ID", "CREATED (UTC)", "ROLE", "EMAIL", "NAME"], row)
}

async fn show(args: &UsersShowArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let account = find(&shop, &args.user).await?;
    let record = directory::find(&shop.pool, account.id).await.map_err(database)?;
    let record = record.ok_or_else(|| not_found(account.email.as_str()))?;
    output::one(args.shop.output, &record, print)?;
    if record.default_password {
        output::note("everybody knows this password: set another one with `shopctl admin password`");
    }
    Ok(())
}

fn print(UserRecord { account, default_password, sessions, orders }: &UserRecord) -> io::Result<()> {
    let orders: Vec<String> = orders.iter().map(|(status, count)| format!("{count} {status}")).collect();
    output::facts(&[
        ("id", account.id.to_string()),
        ("email", account.email.as_str().to_owned()),
        ("name", output::or_dash(account.name.as_ref().map(UserName::as_str))),
        ("role", account.role.as_str().to_owned()),
        ("created", format!("{} UTC", output::time(&account.created_at))),
        ("password", if *default_password { "the default one" } else { "their own" }.to_owned()),
        ("sessions", sessions.len().to_string()),
        ("orders", if orders.is_empty() { "-".to_owned() } else { orders.join(", ") }),
    ])?;
    if sessions.is_empty() {
        return Ok(());
    }
    output::data("")?;
    let row = |session: &ActiveSession| {
        [session.id.to_string(), output::time(&session.created_at), output::time(&session.expires_at)]
    };
    output::table(["SESSION", "SINCE (UTC)", "ENDS (UTC)"], sessions.iter().map(row).collect())
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
    let shop = Shop::find(&args.shop.home.dir)?;
    let Account { id, email, .. } = find(&shop, &args.user).await?;
    let revoked = queries::revoke_tokens_of(&shop.pool, id).await.map_err(database)?;
    revoked.ok_or_else(|| not_found(email.as_str()))?;
    output::one(args.shop.output, &RevokedUser { user_id: id, email }, |RevokedUser { user_id, email }| {
        output::table(["USER", "EMAIL"], vec![[user_id.to_string(), email.as_str().to_owned()]])
    })?;
    output::note(
        "their tokens are revoked, their sessions have ended, and their sockets are closed within two seconds",
    );
    Ok(())
}
