//! Sends a request until it is answered: again when the connection breaks or the shop is busy, but not for ever.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

/// How long one request is sent again and again before it is given up: long enough for a restart of all servers.
const PATIENCE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Counts what was sent again, and why.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    resent: Mutex<BTreeMap<String, usize>>,
    warned_of_limits: AtomicBool,
    warned_of_silence: AtomicBool,
}

/// An answer that is not just "try again".
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    retry_after: Option<Duration>,
}

/// Why something could not be done: a reason to count by, and what was said about this one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    pub(crate) detail: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.detail)
    }
}

impl Error for Failure {}

impl Wire {
    /// Sends a request that does the same when it arrives twice.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let (failure, wait) = match exchange(&request).await? {
                Ok(answer) if !answer.is_temporary() => return Ok(answer),
                Ok(answer) => {
                    self.warn_once_of_rate_limits(answer.status);
                    let wait = answer.retry_after.map_or(pause, |asked| asked.max(FIRST_PAUSE));
                    (answer.into_failure(), wait)
                }
                Err(lost) => {
                    self.warn_once_of_silence(&lost);
                    (lost, pause)
                }
            };
            if begun.elapsed() + wait > PATIENCE {
                return Err(failure);
            }
            *self.resent.lock().unwrap_or_else(PoisonError::into_inner).entry(failure.reason).or_default() += 1;
            sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// How many times something was sent again, by cause.
    pub(crate) fn resent(&self) -> BTreeMap<String, usize> {
        self.resent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn warn_once_of_rate_limits(&self, status: StatusCode) {
        if status == StatusCode::TOO_MANY_REQUESTS && !self.warned_of_limits.swap(true, Ordering::Relaxed) {
            eprintln!("note: the shop limits the rate of requests; for load, start it with SHOP_RATE_LIMITS=off");
        }
    }

    fn warn_once_of_silence(&self, lost: &Failure) {
        if !self.warned_of_silence.swap(true, Ordering::Relaxed) {
            eprintln!("note: {}; trying again, each request for {} s at most", lost.detail, PATIENCE.as_secs());
        }
    }
}

/// One try. The outer error is final, the inner one is a connection that broke before the answer was whole.
async fn exchange(request: &RequestBuilder) -> Result<Result<Answer, Failure>, Failure> {
    let unsendable = |detail: String| Failure { reason: "request cannot be sent".to_owned(), detail };
    let request = request.try_clone().ok_or_else(|| unsendable("its body is a stream".to_owned()))?;
    let answer = async {
        let response = request.send().await?;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(seconds);
        Ok(Answer { status, retry_after, body: response.bytes().await?.to_vec() })
    };
    let answer: reqwest::Result<Answer> = answer.await;
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(error) if error.is_builder() => Err(unsendable(with_causes(error))),
        Err(error) => Ok(Err(Failure { reason: "no answer".to_owned(), detail: with_causes(error) })),
    }
}

fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}

fn with_causes(error: reqwest::Error) -> String {
    format!("{:#}", anyhow::Error::new(error))
}

impl Answer {
    /// Overload, a proxy whose server is away, or a key whose first request is still at work: sent again.
    fn is_temporary(&self) -> bool {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => true,
            // A conflict that passes says when; one that stays, such as a taken address, does not.
            StatusCode::CONFLICT => self.retry_after.is_some(),
            _ => false,
        }
    }

    /// The answer as a refusal, named by its status and the code of its problem document.
    pub(crate) fn into_failure(self) -> Failure {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Problem {
            code: Option<String>,
            title: Option<String>,
            detail: Option<String>,
        }
        let problem: Problem = serde_json::from_slice(&self.body).unwrap_or_default();
        let status = self.status.as_u16();
        Failure {
            reason: problem.code.map_or_else(|| status.to_string(), |code| format!("{status} {code}")),
            detail: problem.detail.or(problem.title).unwrap_or_else(|| self.status.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status: StatusCode::from_u16(status).expect("a status"), body: body.into(), retry_after: None }
    }

    #[test]
    fn a_refusal_is_named_by_status_and_code() {
        let failure = answer(409, r#"{"title":"Conflict","status":409,"detail":"3 left","code":"insufficient_stock"}"#)
            .into_failure();
        assert_eq!(failure, Failure { reason: "409 insufficient_stock".to_owned(), detail: "3 left".to_owned() });
    }

    #[test]
    fn a_refusal_that_is_no_problem_document_still_has_a_name() {
        let failure = answer(500, "<html>").into_failure();
        assert_eq!(failure, Failure { reason: "500".to_owned(), detail: "500 Internal Server Error".to_owned() });
    }

    #[test]
    fn only_what_passes_is_sent_again() {
        let again: Vec<u16> = (100..600).filter(|&status| answer(status, "").is_temporary()).collect();
        assert_eq!(again, [429, 502, 503, 504]);
        let in_flight = Answer { retry_after: Some(Duration::from_secs(1)), ..answer(409, "") };
        assert!(in_flight.is_temporary());
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        assert_eq!(seconds("2"), Some(Duration::from_secs(2)));
        assert_eq!(seconds("Wed, 21 Oct 2015 07:28:00 GMT"), None);
    }
}
