//! The gateway's HTTP: what it answers where.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rocket::http::Status;
use rocket::request::{FromRequest, Outcome};
use rocket::serde::json::{Json, Value, json};
use rocket::{Request, Route, State, get, post, routes};
use serde::Deserialize;
use shop_common::id::PaymentId;
use shop_common::money::{Currency, Money};
use shop_common::payments::{ChargeKey, PaymentMethod};
use shop_worker::payments::gateway::Charge;
use shop_worker::payments::simulated;

use super::Gateway;
use super::books::{Books, Entry, Reply, State as Charged, Stats};
use super::faults::Faults;

/// How long an answer that never comes keeps its connection.
const SILENCE: Duration = Duration::from_secs(30);
/// Charges on a page, at most.
const PAGE: usize = 1000;

type Answer = (Status, Value);

pub(super) fn routes() -> Vec<Route> {
    routes![charge, show, void, refund, captured, break_down, stats]
}

/// The gateway is not down.
struct Up;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Up {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, ()> {
        match request.rocket().state::<Arc<Gateway>>() {
            Some(gateway) if !gateway.faults().down => Outcome::Success(Self),
            _ => Outcome::Error((Status::BadGateway, ())),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewCharge {
    key: String,
    payment: PaymentId,
    amount_minor: i64,
    currency: Currency,
    method: PaymentMethod,
}

impl NewCharge {
    /// The charge, if its key is one of its payment and its amount is one.
    fn parse(self) -> Option<Charge> {
        let key = ChargeKey::from(self.key);
        let ours = key.payment() == Some(self.payment) && key.charge_no().is_some();
        let amount = Money::from_minor(self.amount_minor).ok()?;
        ours.then_some(Charge { key, payment: self.payment, amount, currency: self.currency, method: self.method })
    }
}

#[post("/charges", data = "<body>")]
async fn charge(_up: Up, gateway: &State<Arc<Gateway>>, body: Json<NewCharge>) -> Answer {
    let Some(charge) = body.into_inner().parse() else {
        return (Status::BadRequest, json!({ "error": "a key is payment:number, an amount is not negative" }));
    };
    let gateway = Arc::clone(gateway);
    // A task of its own: a client that hangs up does not stop the charge.
    let charging = tokio::spawn(async move {
        let faults = gateway.faults().clone();
        let latency = simulated::latency(&charge, &gateway.settings) + Duration::from_millis(faults.latency_ms);
        tokio::time::sleep(latency).await;
        let settings = gateway.settings.clone();
        book(&gateway, move |books| books.charge(&charge, &faults, &settings)).await
    });
    let reply = match charging.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(reply) => reply,
        Err(error) => return broken(&error),
    };
    match reply {
        Reply::Captured(reference) => (Status::Ok, json!({ "state": "captured", "reference": reference })),
        Reply::Declined { code, retryable } => {
            (Status::PaymentRequired, json!({ "state": "declined", "code": code, "retryable": retryable }))
        }
        Reply::Failed(code) => (Status::ServiceUnavailable, json!({ "state": "failed", "code": code })),
        Reply::Error => (Status::InternalServerError, json!({ "error": "as the faults want it" })),
        Reply::Silence => {
            tokio::time::sleep(SILENCE).await;
            (Status::GatewayTimeout, json!({ "error": "as the faults or the method want it" }))
        }
    }
}

#[get("/charges/<key>")]
fn show(_up: Up, gateway: &State<Arc<Gateway>>, key: &str) -> Answer {
    match gateway.books().find(key) {
        Some(entry) => (Status::Ok, rendered(entry)),
        None => (Status::NotFound, json!({ "state": "none" })),
    }
}

#[post("/charges/<key>/void")]
async fn void(_up: Up, gateway: &State<Arc<Gateway>>, key: String) -> Answer {
    match book(gateway, move |books| books.void(&ChargeKey::from(key))).await {
        // One that was given back is as dead as one that never was.
        Ok(entry) if entry.state != Charged::Captured => (Status::Ok, json!({ "state": "voided" })),
        Ok(entry) => (Status::Conflict, json!({ "state": "captured", "reference": simulated::reference(&entry.key) })),
        Err(error) => broken(&error),
    }
}

#[post("/charges/<key>/refund")]
async fn refund(_up: Up, gateway: &State<Arc<Gateway>>, key: String) -> Answer {
    match book(gateway, move |books| books.refund(&key)).await {
        Ok(Some(entry)) if entry.state == Charged::Refunded => (Status::Ok, json!({ "state": "refunded" })),
        Ok(Some(entry)) => (Status::Conflict, json!({ "state": entry.state })),
        Ok(None) => (Status::Conflict, json!({ "state": "none" })),
        Err(error) => broken(&error),
    }
}

#[get("/charges?<after>&<limit>")]
fn captured(_up: Up, gateway: &State<Arc<Gateway>>, after: Option<&str>, limit: Option<usize>) -> Json<Value> {
    let page = gateway.books().captured(after, limit.unwrap_or(PAGE).min(PAGE));
    Json(json!({ "charges": page.iter().map(rendered).collect::<Vec<_>>() }))
}

#[post("/faults", data = "<faults>")]
fn break_down(gateway: &State<Arc<Gateway>>, faults: Json<Faults>) -> Answer {
    if !faults.are_possible() {
        return (Status::BadRequest, json!({ "error": "shares are from 0 to 1 and come to 1 at most" }));
    }
    *gateway.faults() = faults.0.clone();
    (Status::Ok, json!(faults.0))
}

#[get("/stats")]
fn stats(gateway: &State<Arc<Gateway>>) -> Json<Stats> {
    Json(gateway.books().stats())
}

/// Does something to the books, which waits for the disk.
async fn book<T: Send + 'static>(
    gateway: &Arc<Gateway>,
    change: impl FnOnce(&mut Books) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let gateway = Arc::clone(gateway);
    let booked = tokio::task::spawn_blocking(move || change(&mut gateway.books())).await;
    booked.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn broken(error: &io::Error) -> Answer {
    (Status::InternalServerError, json!({ "error": error.to_string() }))
}

fn rendered(entry: &Entry) -> Value {
    let captured = matches!(entry.state, Charged::Captured | Charged::Refunded);
    json!({
        "key": entry.key,
        "payment": entry.payment,
        "amountMinor": entry.amount_minor,
        "state": entry.state,
        "code": entry.code,
        "retryable": entry.code.as_deref().is_some_and(simulated::is_retryable),
        "reference": captured.then(|| simulated::reference(&entry.key)),
    })
}
