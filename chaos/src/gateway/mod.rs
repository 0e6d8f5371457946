//! A payment gateway as another company would run it: a process and a ledger of its own.
//!
//! It moves no money. Charges end as the payment method says, like those of the
//! simulated gateway in the worker; [`faults::Faults`] makes its answers go wrong.
//! What it answers is on disk before, and a charge goes on when its client has hung up.

pub mod books;
pub mod faults;
mod routes;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rocket::figment::Figment;
use rocket::{Build, Rocket};
use shop_common::config::{self, ConfigError};

use self::books::{Books, BooksError};
use self::faults::Faults;

/// Why the gateway cannot open.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Its ledger cannot be used.
    #[error(transparent)]
    Books(#[from] BooksError),
    /// The settings of the simulated gateway, which it follows too, cannot be read.
    #[error(transparent)]
    Settings(#[from] ConfigError),
}

/// What the routes share.
struct Gateway {
    books: Mutex<Books>,
    faults: Mutex<Faults>,
    settings: config::Gateway,
}

impl Gateway {
    /// The books. Each change of them is one call that either happened or did not, so a panic leaves them whole.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server, on 127.0.0.1, with the books of that file. Port 0 takes a free one.
///
/// # Errors
/// When the ledger or the settings cannot be read.
pub fn server(ledger: &Path, port: u16) -> Result<Rocket<Build>, GatewayError> {
    let settings = config::figment()?.extract_inner("gateway").map_err(ConfigError::from)?;
    let gateway = Gateway { books: Mutex::new(Books::open(ledger)?), faults: Mutex::default(), settings };
    let figment = Figment::from(rocket::Config::default())
        .merge(("port", port))
        .merge(("log_level", "off"))
        .merge(("shutdown.grace", 0))
        .merge(("shutdown.mercy", 0));
    Ok(rocket::custom(figment).manage(Arc::new(gateway)).mount("/", routes::routes()))
}
