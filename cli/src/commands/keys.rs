//! `shopctl keys`: the keys that sign access tokens.

use std::time::Duration;

use serde::Serialize;
use shop_common::users::signing_keys::{self, KeyState, LEAD, RetireError, RotateError, SigningKey};
use utoipa::ToSchema;

use crate::args::keys::{KeysCommand, KeysRetireArgs};
use crate::args::{Format, ShopArgs};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// `shopctl keys …`.
pub(crate) async fn run(command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Rotate(args) => rotate(&args).await,
        KeysCommand::List(args) => list(&args).await,
        KeysCommand::Retire(args) => retire(&args).await,
    }
}

/// A key as it is printed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownKey {
    #[serde(flatten)]
    key: SigningKey,
    state: KeyState,
}

/// Makes a key that signs soon.
async fn rotate(args: &ShopArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.home.dir)?;
    let key = signing_keys::rotate(&shop.pool, shop.token_lifetime).await.map_err(|error| match error {
        RotateError::TooSoon { older, until, signs } => {
            let wait = format!("rotate after {} UTC", output::time(&until));
            let next =
                if signs { wait } else { format!("{wait}, or give these tokens up: `shopctl keys retire {older}`") };
            Failure::new(
                Exit::Conflict,
                format!("key {older} may still have living tokens, and two keys are live at most"),
            )
            .next(next)
        }
        RotateError::Database(error) => database(error),
    })?;
    print_one(key, shop.token_lifetime, args.output)?;
    output::note(format!("it signs in {} seconds; what the key before has signed stays good", LEAD.as_secs()));
    Ok(())
}

/// Lists the keys.
async fn list(args: &ShopArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.home.dir)?;
    let keys = signing_keys::list(&shop.pool).await.map_err(database)?;
    let shown: Vec<ShownKey> =
        keys.into_iter().map(|key| ShownKey { state: key.state(shop.token_lifetime), key }).collect();
    output::list(args.output, &shown, HEADERS, row)?;
    Ok(())
}

/// Retires a key.
async fn retire(args: &KeysRetireArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let key = signing_keys::retire(&shop.pool, &args.kid).await.map_err(|error| match error {
        RetireError::NotFound(_) => Failure::new(Exit::NotFound, error).next("list them with `shopctl keys list`"),
        RetireError::Signs(_) => Failure::new(Exit::Conflict, error)
            .next(format!("run `shopctl keys rotate`, and retire it {} seconds later", LEAD.as_secs())),
        RetireError::Database(error) => database(error),
    })?;
    print_one(key, shop.token_lifetime, args.shop.output)?;
    output::note("its tokens are refused within two seconds");
    Ok(())
}

fn print_one(key: SigningKey, lifetime: Duration, format: Format) -> Result<(), Failure> {
    let key = ShownKey { state: key.state(lifetime), key };
    output::one(format, &key, |key| output::table(HEADERS, vec![row(key)]))?;
    Ok(())
}

const HEADERS: [&str; 4] = ["KID", "STATE", "CREATED (UTC)", "SIGNS FROM (UTC)"];

fn row(ShownKey { key, state }: &ShownKey) -> [String; 4] {
    [key.kid.to_string(), word(*state).to_owned(), output::time(&key.created_at), output::time(&key.signs_from)]
}

fn word(state: KeyState) -> &'static str {
    match state {
        KeyState::Upcoming => "upcoming",
        KeyState::Signs => "signs",
        KeyState::Checks => "checks",
        KeyState::Retired => "retired",
    }
}
