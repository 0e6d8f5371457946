//! `shopctl admin`: who keeps the shop.

use std::io::{self, Read};

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use shop_common::seed::{self, SeedError, SeededAdmin};
use shop_common::users::password::StrongPassword;
use shop_common::users::queries::CreateUserError;
use shop_common::users::{Email, UserName};
use utoipa::ToSchema;

use crate::args::admin::{AdminCommand, AdminCreateArgs};
use crate::args::{Format, ShopArgs};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// `shopctl admin …`.
pub(crate) async fn run(command: AdminCommand) -> Result<(), Failure> {
    match command {
        AdminCommand::Seed(args) => seed(&args).await,
        AdminCommand::Create(args) => create(&args).await,
    }
}

/// An admin, and the password that is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewAdmin<'a> {
    email: &'a str,
    password: &'a str,
}

/// Creates the first admin.
async fn seed(args: &ShopArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.home.dir)?;
    match seed::admin(&shop.pool, shop.production).await.map_err(failure)? {
        SeededAdmin::Present => output::note("there is an admin already, nothing was done"),
        SeededAdmin::Created { email, password } => show(&email, &password, args.output)?,
    }
    Ok(())
}

/// Creates another admin.
async fn create(args: &AdminCreateArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let usage = |error: &dyn std::fmt::Display| Failure::new(Exit::Refused, error);
    let email: Email = args.email.parse().map_err(|error| usage(&format!("{}: {error}", args.email)))?;
    let name = args.name.clone().map(UserName::try_from).transpose().map_err(|error| usage(&error))?;
    let password =
        if args.password_stdin { password_from_stdin()? } else { seed::random_password().map_err(failure)? };
    if let SeededAdmin::Created { email, password } =
        seed::create_admin(&shop.pool, email, name, password).await.map_err(failure)?
    {
        if args.password_stdin {
            output::note(format!("{} is an admin now", email.as_str()));
        } else {
            show(&email, &password, args.shop.output)?;
        }
    }
    Ok(())
}

fn password_from_stdin() -> Result<StrongPassword, Failure> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let password = SecretString::from(text.trim_end_matches(['\r', '\n']));
    StrongPassword::try_from(password)
        .map_err(|error| Failure::new(Exit::Refused, format!("the password is weak: {error}")))
}

/// The only time that a password is shown.
fn show(email: &Email, password: &SecretString, format: Format) -> Result<(), Failure> {
    let (email, password) = (email.as_str(), password.expose_secret());
    output::one(format, &NewAdmin { email, password }, |NewAdmin { email, password }| {
        output::table(["EMAIL", "PASSWORD"], vec![[(*email).to_owned(), (*password).to_owned()]])
    })?;
    output::note("keep the password now: it is not shown again");
    Ok(())
}

fn failure(error: SeedError) -> Failure {
    match error {
        SeedError::User(CreateUserError::EmailTaken) => {
            Failure::new(Exit::Conflict, "there is a user with this email already").next("take another email")
        }
        SeedError::User(CreateUserError::Database(error)) | SeedError::Database(error) => database(error),
        error => error.into(),
    }
}
