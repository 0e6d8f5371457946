//! `shopctl keys`: the keys that sign access tokens.

use std::time::Duration;

use serde::Serialize;
use shop_common::time::Timestamp;
use shop_common::users::signing_keys::{self, KeyState, LEAD, RetireError, RotateError, SigningKey};

use crate::args::{Format, KeysRetireArgs, ShopArgs};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// A key as it is printed.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    key: SigningKey,
    state: KeyState,
}

/// Makes a key that signs soon.
pub(crate) async fn rotate(args: &ShopArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.home.dir)?;
    let key = signing_keys::rotate(&shop.pool, shop.token_lifetime).await.map_err(|error| match error {
        RotateError::TooSoon { older, until, signs } => {
            let wait = format!("rotate after {} UTC", clock(&until));
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
pub(crate) async fn list(args: &ShopArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.home.dir)?;
    let keys = signing_keys::list(&shop.pool).await.map_err(database)?;
    let shown: Vec<Shown> = keys.into_iter().map(|key| Shown { state: key.state(shop.token_lifetime), key }).collect();
    match args.output {
        Format::Json => output::json(&shown)?,
        Format::Table => table(shown)?,
    }
    Ok(())
}

/// Retires a key.
pub(crate) async fn retire(args: &KeysRetireArgs) -> Result<(), Failure> {
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
    let key = Shown { state: key.state(lifetime), key };
    match format {
        Format::Json => output::json(&key)?,
        Format::Table => table(vec![key])?,
    }
    Ok(())
}

fn table(keys: Vec<Shown>) -> std::io::Result<()> {
    let row = |Shown { key, state }: Shown| {
        [key.kid.to_string(), word(state).to_owned(), clock(&key.created_at), clock(&key.signs_from)]
    };
    output::table(["KID", "STATE", "CREATED (UTC)", "SIGNS FROM (UTC)"], keys.into_iter().map(row).collect())
}

fn clock(time: &Timestamp) -> String {
    time.format("%F %T").to_string()
}

fn word(state: KeyState) -> &'static str {
    match state {
        KeyState::Upcoming => "upcoming",
        KeyState::Signs => "signs",
        KeyState::Checks => "checks",
        KeyState::Retired => "retired",
    }
}
