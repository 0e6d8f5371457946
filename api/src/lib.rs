//! The REST server: what the shop answers at which URL.
//!
//! HTTP ends in this crate. Handlers parse what comes in into the types of
//! `shop_common`, call one function there, and turn what it gives into an answer.

mod about;
mod auth;
mod body;
mod catalogue;
mod catchers;
mod client_address;
mod db;
mod error;
mod etag;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod header_limit;
mod health;
mod idempotency;
mod in_flight;
mod methods;
pub mod openapi;
mod orders;
mod origin;
mod paging;
mod products;
mod query;
mod rate_limit;
mod realtime;
mod refunds;
mod requests;
mod route_metrics;
mod security_headers;
mod stock;
mod trace;
mod whole_bodies;

use std::sync::Arc;
use std::time::Duration;

use rocket::error::ErrorKind;
use rocket::fairing::AdHoc;
use rocket::figment::Figment;
use rocket::{Build, Rocket, Route, catchers, routes};
use rocket_db_pools::Database;
use shop_common::config::{self, Settings};
use shop_common::events::Announcer;
use shop_common::id::ProductId;
use shop_common::jobs::queue::Queue;
use shop_common::metrics::{Daemon, Exporter};
use shop_common::orders::place::Placement;
use shop_common::products::changes::Changes;
use shop_common::{files, seed, telemetry};

use crate::auth::hashing::Hasher;
use crate::auth::revocation::Revocations;
use crate::auth::tickets::TicketTime;
use crate::auth::tokens::{TokenError, Tokens};
use crate::body::BodyTime;
use crate::catalogue::Catalogue;
use crate::client_address::TrustedProxies;
use crate::db::{Db, RedisDb};
use crate::header_limit::HeaderLimit;
use crate::in_flight::InFlight;
use crate::origin::{Cors, Origins};
use crate::rate_limit::RateLimits;
use crate::realtime::feed::Live;
use crate::realtime::hub::Hub;
use crate::realtime::sessions::{self, Sessions};
use crate::realtime::{door, socket_io};

/// How long connections to PostgreSQL may take to end, when everything else has.
const CLOSING: Duration = Duration::from_secs(2);

/// Why the server cannot be built.
#[derive(Debug, thiserror::Error)]
enum BootError {
    /// Tokens cannot be signed.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// Redis cannot be used for rate limits.
    #[error("the URL of Redis cannot be read: {0}")]
    Redis(#[from] redis::RedisError),
    /// The threads that hash passwords cannot be started.
    #[error("the threads that hash passwords cannot be started: {0}")]
    Threads(std::io::Error),
}

/// The server: the whole map of URLs, and what the handlers share.
///
/// # Errors
/// When the secret that signs tokens is missing or weak, the URL of Redis cannot be read, or threads cannot be started.
fn rocket(figment: Figment, settings: Settings, metrics: Exporter) -> Result<Rocket<Build>, BootError> {
    let tokens = Tokens::new(&settings.auth)?;
    error::counted::begin();
    let hasher = Hasher::new(&settings.auth).map_err(BootError::Threads)?;
    hasher.show(&metrics);
    let limits = RateLimits::new(&settings.rate_limits, &settings.databases.redis)?;
    let relay = realtime::relay::fairing(settings.databases.redis.clone());
    let ears = catalogue::ears(settings.databases.redis.clone());
    let origins = Origins::new(&settings.live.origins);
    let sessions = Sessions::default();
    let hub = Hub::new(settings.live.sockets_per_user);
    let revocations = Revocations::new(settings.auth.token_lifetime(), hub.clone());
    let live = settings.live.clone();
    let figment = Figment::from(rocket::Config::default()).merge(figment);
    Ok(rocket::custom(figment)
        .manage(tokens)
        .manage(hasher)
        .manage(limits)
        .manage(TrustedProxies(settings.requests.trusted_proxies.clone()))
        .manage(BodyTime(Duration::from_millis(settings.requests.body_ms)))
        .manage(metrics.clone())
        .manage(products::Searches::default())
        .manage(Catalogue::new(&settings.catalogue))
        .manage(openapi::page::Page::new())
        .manage(hub)
        .manage(revocations)
        .manage(sessions.clone())
        .manage(origins.clone())
        .manage(TicketTime(Duration::from_secs(settings.live.ticket_seconds)))
        .attach(trace::Traces)
        .attach(requests::Requests::default())
        .attach(security_headers::shield(&origins))
        .attach(Cors(origins))
        .attach(rate_limit::Fields)
        .attach(HeaderLimit)
        .attach(whole_bodies::WholeBodies)
        .attach(InFlight::new(settings.requests.in_flight, &metrics))
        .attach(Db::init())
        .attach(RedisDb::init())
        .attach(AdHoc::try_on_ignite("News", open_news))
        .attach(AdHoc::try_on_ignite("Placement", move |rocket| open_placement(rocket, settings)))
        .attach(AdHoc::try_on_ignite("Default admin", refuse_default_admin))
        .attach(rate_limit::upkeep())
        .attach(AdHoc::try_on_ignite("Live status", move |rocket| share_live(rocket, live)))
        .attach(auth::look::fairing())
        .attach(relay)
        .attach(ears)
        .attach(socket_io::fairing())
        .attach(sessions::goodbye(sessions))
        .attach(requests::announcement())
        .attach(health::eviction_warning())
        .attach(health::watch(metrics))
        .mount("/", url_map())
        .mount(door::PATH, door::routes())
        .register("/", catchers![catchers::problem]))
}

/// What is answered at which URL; what is below [`door::PATH`] decides for itself.
fn url_map() -> Vec<Route> {
    routes![
        auth::register,
        auth::register_as_reference,
        auth::login,
        auth::login_as_reference,
        auth::sessions::refresh,
        auth::sessions::logout,
        auth::sessions::logout_all,
        auth::account::me,
        auth::account::change_password,
        auth::tickets::issue,
        products::list,
        products::show,
        products::create,
        products::update,
        products::delete,
        orders::place,
        orders::list,
        orders::show,
        orders::events,
        orders::cancel,
        refunds::request,
        stock::list,
        realtime::websocket::open,
        openapi::document,
        openapi::page::show,
        health::live,
        health::ready,
        health::metrics,
        origin::preflight,
    ]
}

/// The whole program: reads the settings, sets up logs, counts and traces, and runs until it is told to stop.
///
/// # Errors
/// When the settings cannot be read, or what [`run`] cannot do.
pub async fn start() -> anyhow::Result<()> {
    let (figment, settings) = config::load()?;
    telemetry::init_logs(&settings.log)?;
    let metrics = Exporter::install(Daemon::Api)?;
    let traces = telemetry::init_traces("shop-api")?;
    let ended = run(figment, settings, metrics).await;
    traces.flush().await;
    ended
}

/// Serves until told to stop, and then until the last request has been answered or the time for that is over.
///
/// # Errors
/// When the server cannot be built or started.
pub async fn run(figment: Figment, settings: Settings, metrics: Exporter) -> anyhow::Result<()> {
    files::allow_many();
    match rocket(figment, settings, metrics)?.launch().await {
        Ok(rocket) => {
            if let Some(db) = Db::fetch(&rocket) {
                // A connection that went silent does not come back by itself.
                let _ = tokio::time::timeout(CLOSING, db.pool().close()).await;
            }
            Ok(())
        }
        Err(error) => match error.kind() {
            // Whoever stopped us does not want to hear that we have failed: a request that hung was cut off.
            ErrorKind::Shutdown(..) => {
                tracing::warn!("requests that had not ended in time were cut off");
                Ok(())
            }
            _ => Err(anyhow::anyhow!("{error}")),
        },
    }
}

/// What tells others what this api has changed, and this api itself first.
async fn open_news(rocket: Rocket<Build>) -> Result<Rocket<Build>, Rocket<Build>> {
    let (Some(redis), Some(catalogue)) = (RedisDb::fetch(&rocket), rocket.state::<Catalogue>()) else {
        return Err(rocket);
    };
    let (redis, catalogue) = (redis.redis().clone(), catalogue.clone());
    let hear = move |products: &[ProductId]| catalogue.forget(products.iter().copied());
    let changes = Changes::new(redis.clone()).heard_here(Arc::new(hear));
    Ok(rocket.manage(changes.clone()).manage(Announcer::new(redis).telling(changes)))
}

async fn open_placement(rocket: Rocket<Build>, settings: Settings) -> Result<Rocket<Build>, Rocket<Build>> {
    let Some(redis) = RedisDb::fetch(&rocket) else { return Err(rocket) };
    let Some(announcer) = rocket.state::<Announcer>().cloned() else { return Err(rocket) };
    let pool = match shop_common::db::pool_by_key(&settings.databases.pg, settings.placement.connections()) {
        Ok(pool) => pool,
        Err(error) => {
            tracing::error!(%error, "DATABASE_URL cannot be read");
            return Err(rocket);
        }
    };
    let placement = Placement::new(
        pool,
        Queue::new(redis.redis().clone()),
        announcer,
        settings.shop.currency.clone(),
        &settings.placement,
        orders::render,
    );
    if let Some(metrics) = rocket.state::<Exporter>() {
        show_waiting(metrics, placement.clone());
    }
    Ok(rocket.manage(placement))
}

/// Has the queue of orders looked at whenever somebody reads the metrics.
fn show_waiting(metrics: &Exporter, placement: Placement) {
    metrics.look(move || {
        let (waiting, most) = placement.waiting();
        metrics::gauge!("shop_placement_waiting_orders").set(waiting as f64);
        metrics::gauge!("shop_placement_waiting_orders_limit").set(most as f64);
    });
}

/// What all sockets share.
async fn share_live(rocket: Rocket<Build>, settings: config::Live) -> Result<Rocket<Build>, Rocket<Build>> {
    let (Some(db), Some(hub), Some(revocations)) =
        (Db::fetch(&rocket), rocket.state::<Hub>(), rocket.state::<Revocations>())
    else {
        return Err(rocket);
    };
    let live = Live::new(db.pool().clone(), hub.clone(), revocations.clone(), &settings);
    Ok(rocket.manage(live))
}

/// In production nobody may log in with the password that everybody knows.
async fn refuse_default_admin(rocket: Rocket<Build>) -> Result<Rocket<Build>, Rocket<Build>> {
    let Some(db) = Db::fetch(&rocket).filter(|_| config::is_production()) else { return Ok(rocket) };
    match seed::has_development_admin(db.pool()).await {
        Ok(false) => Ok(rocket),
        Ok(true) => {
            tracing::error!("{} still has the password of development; set another one first", seed::ADMIN_EMAIL);
            Err(rocket)
        }
        Err(error) => {
            tracing::warn!(%error, "the default admin could not be looked for; is PostgreSQL there, with its schema?");
            Ok(rocket)
        }
    }
}
