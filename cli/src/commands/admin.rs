//! `shopctl admin`: who keeps the shop, and the passwords that are lost.

use std::io::{self, Read};

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use shop_common::db::Ending;
use shop_common::seed::{self, SeedError, SeededAdmin};
use shop_common::users::password::{self, StrongPassword};
use shop_common::users::queries::{self, CreateUserError};
use shop_common::users::{Email, directory, sessions};
use utoipa::ToSchema;

use super::users;
use crate::args::admin::{AdminCommand, AdminCreateArgs, AdminPasswordArgs};
use crate::args::{Format, ShopArgs};
use crate::exit::{Exit, Failure};
use crate::shop::{Shop, database};
use crate::{ask, output};

/// `shopctl admin …`.
pub(crate) async fn run(command: AdminCommand) -> Result<(), Failure> {
    match command {
        AdminCommand::Seed(args) => seed(&args).await,
        AdminCommand::Create(args) => create(&args).await,
        AdminCommand::Password(args) => set_password(&args).await,
    }
}

/// Who can log in now, and the password that is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct Credentials<'a> {
    email: &'a str,
    /// Nothing where whoever asked has brought it.
    password: Option<&'a str>,
}

/// Creates the first admin.
async fn seed(args: &ShopArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.home.dir)?;
    match seed::admin(&shop.pool, shop.production).await.map_err(failure)? {
        SeededAdmin::Present => output::note("there is an admin already, nothing was done"),
        SeededAdmin::Created { email, password } => show(&email, Some(&password), args.output)?,
    }
    Ok(())
}

/// Creates another admin.
async fn create(args: &AdminCreateArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let password = new_password(args.password_stdin, &args.email)?;
    if let SeededAdmin::Created { email, password } =
        seed::create_admin(&shop.pool, args.email.clone(), args.name.clone(), password).await.map_err(failure)?
    {
        output::note(format!("{} is an admin now", email.as_str()));
        show(&email, (!args.password_stdin).then_some(&password), args.shop.output)?;
    }
    Ok(())
}

/// Sets another password of anybody, which ends all their sessions.
async fn set_password(args: &AdminPasswordArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let email = &args.email;
    let password = new_password(args.password_stdin, email)?;
    let login = queries::find_for_login(&shop.pool, email).await.map_err(database)?;
    let identity = login.ok_or_else(|| users::not_found(email.as_str()))?.identity;
    let logged_in = directory::sessions(&shop.pool, identity.id).await.map_err(database)?.len();
    let (role, email) = (identity.role.as_str(), email.as_str());
    let deed = format!("This sets another password of {email} ({role}), and ends their {logged_in} sessions.");
    if ask::consent(&shop.pool, &args.consent, &deed).await? == Ending::DryRun {
        return show(&args.email, None, args.shop.output);
    }
    let hash = password::hash(&password)?;
    sessions::reset_password(&shop.pool, &identity, &hash).await.map_err(database)?.ok_or_else(|| {
        Failure::new(Exit::Conflict, "somebody else has just changed it or revoked their tokens; nothing was done")
            .next("give the command again")
    })?;
    output::note(format!("{email} has another password, and their sessions have ended"));
    show(&args.email, (!args.password_stdin).then(|| password.secret()), args.shop.output)
}

/// A random password, or the one on stdin.
fn new_password(from_stdin: bool, email: &Email) -> Result<StrongPassword, Failure> {
    if !from_stdin {
        return seed::random_password().map_err(failure);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let password = SecretString::from(text.trim_end_matches(['\r', '\n']));
    StrongPassword::chosen(password, &[email.as_str()]).map_err(|error| {
        Failure::new(Exit::Refused, format!("the password is weak: {error}"))
            .next("choose another one, or leave --password-stdin out for a random one")
    })
}

/// The only time that a password is shown.
fn show(email: &Email, password: Option<&SecretString>, format: Format) -> Result<(), Failure> {
    let (email, password) = (email.as_str(), password.map(ExposeSecret::expose_secret));
    output::one(format, &Credentials { email, password }, |Credentials { email, password }| {
        output::table(["EMAIL", "PASSWORD"], vec![[(*email).to_owned(), output::or_dash(*password)]])
    })?;
    if password.is_some() {
        output::note("keep the password now: it is not shown again");
    }
    Ok(())
}

fn failure(error: SeedError) -> Failure {
    match error {
        SeedError::User(CreateUserError::EmailTaken) => {
            Failure::new(Exit::Conflict, "there is a user with this email already")
                .next("take another email, or set another password of theirs with `shopctl admin password`")
        }
        SeedError::User(CreateUserError::Database(error)) | SeedError::Database(error) => database(error),
        error => error.into(),
    }
}
