//! The audit: the gateway's ledger against the shop's payments.
//!
//! What the gateway has captured and the shop forgot (an older backup was restored, say)
//! is given back and reported. The ledger is read before the shop, so that a charge in
//! flight is never called forgotten, and where there is doubt nothing is given back.

mod walk;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use shop_common::id::{AuditId, BootId};
use shop_common::jobs::pause;
use shop_common::payments::audit;
use shop_common::{config, db};
use sqlx::PgPool;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::walk::Walk;
use super::gateway::{PaymentGateway, Unreachable};
use crate::runner::Runner;

/// How often to look whether an audit is to be done.
const ROUND: Duration = Duration::from_secs(1);

/// Does the audits of a worker, one after the other.
pub struct Auditor {
    pool: PgPool,
    gateway: Arc<dyn PaymentGateway>,
    boot: BootId,
    lease: Duration,
    patience: Duration,
    every: Option<Duration>,
    refunds_at_most: u32,
}

/// Why an audit did not get to its end.
#[derive(Debug, thiserror::Error)]
enum AuditError {
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Gateway(#[from] Unreachable),
    #[error("the gateway gives the same page again")]
    SamePage,
    #[error("another worker has taken it over")]
    TakenOver,
    #[error("the worker stops")]
    Stopped,
    #[error("the queue was paused meanwhile; after `shopctl jobs resume` it goes on")]
    Paused,
    #[error(
        "{held_back} charges are only reported, because {at_most} refunds in 24 hours are enough for an audit; if this is \
         the right database for this gateway, raise `gateway.audit_refunds_at_most` and ask again"
    )]
    TooMany { held_back: u32, at_most: u32 },
    #[error("the gateway has not said what became of {0} refunds; the next audit asks again")]
    Unanswered(u32),
}

impl Auditor {
    /// The auditor of that worker.
    pub fn new(runner: &Runner, settings: &config::Gateway) -> Self {
        Self {
            pool: runner.pool().clone(),
            gateway: Arc::clone(runner.gateway()),
            boot: runner.boot(),
            lease: runner.lease(),
            patience: Duration::from_millis(settings.timeout_ms),
            every: Some(Duration::from_secs(settings.audit_every_seconds)).filter(|every| !every.is_zero()),
            refunds_at_most: settings.audit_refunds_at_most,
        }
    }

    /// Does what audits there are until told to stop. What is unfinished then, another worker takes up.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let (auditor, until) = (Arc::clone(&self), stop.clone());
            // A task of its own, so that a panic in an audit is not the end of audits.
            let round = tokio::spawn(async move { auditor.round(&until).await });
            let ended = tokio::select! {
                ended = round => ended,
                // The round has heard it too, but may be waiting for a database that is silent.
                () = stop.cancelled() => return,
            };
            match ended {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "cannot look for audits"),
                Err(error) => tracing::error!(%error, "an audit panicked"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(ROUND.mul_f64(rand::random_range(0.8..1.2))) => {}
            }
        }
    }

    /// Asks for an audit if one is due, and does the one that is to be done, if there is one and the queue is not paused.
    ///
    /// # Errors
    /// When PostgreSQL is away.
    pub async fn round(&self, stop: &CancellationToken) -> Result<Option<AuditId>, sqlx::Error> {
        if patiently(pause::current(&self.pool)).await?.is_some() {
            return Ok(None);
        }
        if let Some(every) = self.every {
            patiently(audit::request_if_due(&self.pool, every)).await?;
        }
        let Some(id) = patiently(audit::take(&self.pool, self.boot, self.lease)).await? else { return Ok(None) };
        let count = |outcome| metrics::counter!("shop_gateway_audits_total", "outcome" => outcome).increment(1);
        let error = match Walk::new(self, id, stop).walk().await {
            Ok(charges) => {
                count("compared");
                tracing::info!(audit = %id, charges, "the gateway's ledger is compared");
                None
            }
            // Not this worker's to end.
            Err(error @ (AuditError::TakenOver | AuditError::Stopped)) => {
                count("left");
                tracing::warn!(audit = %id, %error, "an audit is left");
                return Ok(None);
            }
            Err(error) => {
                count("failed");
                tracing::error!(audit = %id, %error, "the gateway's ledger cannot be compared");
                Some(error.to_string())
            }
        };
        patiently(audit::finish(&self.pool, id, self.boot, error.as_deref())).await?;
        Ok(Some(id))
    }
}

/// One statement on the database, unless it is silent for too long.
async fn patiently<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(db::PATIENCE, statement).await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}
