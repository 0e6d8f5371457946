//! A payment gateway in another process, over HTTP.
//!
//! Only an answer that reads as the protocol has it says anything. Everything else,
//! a refused connection too, is "not known": the charge may have gone through.

use async_trait::async_trait;
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shop_common::money::Money;
use shop_common::payments::ChargeKey;
use shop_common::trace::{Attributes, Kind, Span, TraceContext};

use super::gateway::{
    CapturedCharge, Charge, ChargeOutcome, Lookup, PaymentGateway, RefundOutcome, Unreachable, VoidOutcome,
};
use crate::trace;

/// A gateway behind a URL. How long to wait for its answer is the caller's to say.
#[derive(Debug, Clone)]
pub struct RemoteGateway {
    http: reqwest::Client,
    base: Url,
}

/// Why a gateway cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum NoGateway {
    /// None can be behind that URL.
    #[error("{0:?} is no http URL of a gateway, for example http://127.0.0.1:4000")]
    Url(String),
    /// There is no HTTP client on this machine.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// What the gateway says of a key.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    state: State,
    reference: Option<String>,
    code: Option<String>,
    #[serde(default)]
    retryable: bool,
}

/// A page of the gateway's ledger.
#[derive(Deserialize)]
struct Page {
    charges: Vec<Charged>,
}

/// A captured charge in the gateway's ledger.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Charged {
    key: String,
    payment: String,
    amount_minor: i64,
    reference: String,
    state: State,
}

impl Charged {
    fn parse(self) -> Result<CapturedCharge, Unreachable> {
        let amount = Money::from_minor(self.amount_minor).map_err(|_| Unreachable)?;
        let refunded = match self.state {
            State::Captured => false,
            State::Refunded => true,
            _ => return Err(Unreachable),
        };
        let (key, payment, reference) = (ChargeKey::from(self.key), self.payment, self.reference);
        Ok(CapturedCharge { key, payment, amount, reference, refunded })
    }
}

/// How far the gateway says a key is.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Open,
    Captured,
    Declined,
    Failed,
    Voided,
    Refunded,
    None,
}

/// Nothing came that can be read; this is what was seen.
struct NoAnswer(&'static str);

impl RemoteGateway {
    /// The gateway behind that URL.
    ///
    /// # Errors
    /// When it is not a URL with `http://` and a host, or no HTTP client can be made.
    pub fn new(url: &str) -> Result<Self, NoGateway> {
        let base: Url = url.parse().map_err(|_| NoGateway::Url(url.to_owned()))?;
        if base.scheme() != "http" || base.cannot_be_a_base() {
            return Err(NoGateway::Url(url.to_owned()));
        }
        // Nobody stands between: what comes from elsewhere is no word of the gateway.
        Ok(Self { http: reqwest::Client::builder().redirect(Policy::none()).no_proxy().build()?, base })
    }

    /// The URL of the charges, or of one of them, or of what is done to it.
    fn url(&self, rest: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Only a URL that cannot be a base has no path, and `new` refuses those.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("charges").extend(rest);
        }
        url
    }

    /// Sends a request and reads the answer, whatever its status. What an attempt asks is a part of its trace, and the
    /// gateway is told so; `what` is the method and the form of the path.
    async fn ask<T: DeserializeOwned>(
        &self,
        what: &'static str,
        mut request: RequestBuilder,
    ) -> Result<(StatusCode, T), NoAnswer> {
        let Some(attempt) = trace::current() else { return send(request).await };
        let span = Span::begin(Kind::Client, what, Some(&attempt));
        let TraceContext { parent, state } = span.context();
        request = request.header("traceparent", parent.to_string());
        if let Some(state) = state {
            request = request.header("tracestate", state.as_str());
        }
        let answer = send(request).await;
        span.end(|span| self.tell(span, what, answer.as_ref().map(|(status, _)| *status)));
        answer
    }

    /// The attributes are those of OpenTelemetry's conventions for HTTP clients, without keys and what else is in a URL.
    fn tell(&self, span: &mut dyn Attributes, what: &'static str, answer: Result<StatusCode, &NoAnswer>) {
        if let Some((method, path)) = what.split_once(' ') {
            span.text("http.request.method", method);
            span.text("url.template", path);
        }
        span.text("server.address", self.base.host_str().unwrap_or_default());
        if let Some(port) = self.base.port_or_known_default() {
            span.number("server.port", i64::from(port));
        }
        match answer {
            Ok(status) => {
                span.number("http.response.status_code", i64::from(status.as_u16()));
                // To decline is an answer like any other.
                if status.is_server_error() {
                    span.failed(status.as_str());
                }
            }
            Err(NoAnswer(seen)) => span.failed(seen),
        }
    }
}

async fn send<T: DeserializeOwned>(request: RequestBuilder) -> Result<(StatusCode, T), NoAnswer> {
    let seen = |error: reqwest::Error| {
        tracing::debug!(%error, "no answer of the gateway that can be read");
        NoAnswer(match (error.is_timeout(), error.is_decode()) {
            (true, _) => "gateway_timeout",
            (_, true) => "gateway_error",
            _ => "gateway_unreachable",
        })
    };
    let answer = request.send().await.map_err(seen)?;
    let status = answer.status();
    Ok((status, answer.json().await.map_err(seen)?))
}

#[async_trait]
impl PaymentGateway for RemoteGateway {
    async fn charge(&self, charge: &Charge) -> ChargeOutcome {
        let body = serde_json::json!({
            "key": charge.key.as_str(),
            "payment": charge.payment,
            "amountMinor": charge.amount.minor(),
            "currency": charge.currency,
            "method": charge.method,
        });
        match self.ask::<Answer>("POST /charges", self.http.post(self.url(&[])).json(&body)).await {
            Ok((StatusCode::OK, Answer { state: State::Captured, reference: Some(reference), .. })) => {
                ChargeOutcome::Approved { reference }
            }
            Ok((StatusCode::PAYMENT_REQUIRED, Answer { state: State::Declined, code: Some(code), retryable, .. })) => {
                ChargeOutcome::Declined { code, retryable }
            }
            Ok((StatusCode::SERVICE_UNAVAILABLE, Answer { state: State::Failed, code, .. })) => {
                ChargeOutcome::Transient { code: code.unwrap_or_else(|| "gateway_failed".to_owned()) }
            }
            Ok(_) => ChargeOutcome::Unknown { code: "gateway_error".to_owned() },
            Err(NoAnswer(seen)) => ChargeOutcome::Unknown { code: seen.to_owned() },
        }
    }

    async fn lookup(&self, key: &ChargeKey) -> Lookup {
        let request = self.http.get(self.url(&[key.as_str()]));
        let answer = self.ask("GET /charges/{key}", request).await;
        let Ok((status, Answer { state, reference, code, retryable })) = answer else { return Lookup::Unknown };
        match (status, state, reference) {
            (StatusCode::OK, State::Captured, Some(reference)) => Lookup::Found(ChargeOutcome::Approved { reference }),
            (StatusCode::OK, State::Declined, _) => Lookup::Found(ChargeOutcome::Declined {
                code: code.unwrap_or_else(|| "declined".to_owned()),
                retryable,
            }),
            (StatusCode::OK, State::Voided, _) => {
                Lookup::Found(ChargeOutcome::Declined { code: "voided".to_owned(), retryable: false })
            }
            (StatusCode::OK, State::Refunded, _) => {
                Lookup::Found(ChargeOutcome::Declined { code: "refunded".to_owned(), retryable: false })
            }
            (StatusCode::OK, State::Open, _) | (StatusCode::NOT_FOUND, State::None, _) => Lookup::NotFound,
            _ => Lookup::Unknown,
        }
    }

    async fn void(&self, key: &ChargeKey) -> VoidOutcome {
        let request = self.http.post(self.url(&[key.as_str(), "void"]));
        match self.ask::<Answer>("POST /charges/{key}/void", request).await {
            Ok((StatusCode::OK, Answer { state: State::Voided, .. })) => VoidOutcome::Voided,
            Ok((StatusCode::CONFLICT, Answer { state: State::Captured, reference: Some(reference), .. })) => {
                VoidOutcome::AlreadyCaptured { reference }
            }
            Ok(_) | Err(_) => VoidOutcome::Unknown,
        }
    }

    async fn refund(&self, key: &ChargeKey) -> RefundOutcome {
        let request = self.http.post(self.url(&[key.as_str(), "refund"]));
        match self.ask::<Answer>("POST /charges/{key}/refund", request).await {
            Ok((StatusCode::OK, Answer { state: State::Refunded, .. })) => RefundOutcome::Refunded,
            // Of one that is captured it would be a contradiction.
            Ok((StatusCode::CONFLICT, Answer { state, .. })) if state != State::Captured => {
                RefundOutcome::NothingCaptured
            }
            Ok(_) | Err(_) => RefundOutcome::Unknown,
        }
    }

    async fn captured(&self, after: Option<&ChargeKey>, limit: u32) -> Result<Vec<CapturedCharge>, Unreachable> {
        let mut url = self.url(&[]);
        url.query_pairs_mut().append_pair("limit", &limit.to_string());
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after", after.as_str());
        }
        match self.ask::<Page>("GET /charges", self.http.get(url)).await {
            Ok((StatusCode::OK, page)) => page.charges.into_iter().map(Charged::parse).collect(),
            Ok(_) | Err(_) => Err(Unreachable),
        }
    }
}

#[cfg(test)]
mod tests;
