//! What a worker does with the job of a refund: ask the gateway, settle, acknowledge.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use shop_common::db::{self, CommitError};
use shop_common::events::Announcer;
use shop_common::group::{self, Grouper};
use shop_common::jobs::RefundPayment;
use shop_common::jobs::ledger::GivenBack;
use shop_common::jobs::queue::Queue;
use shop_common::jobs::retry::Backoff;
use shop_common::orders::claim::Claim;
use shop_common::orders::refund::settle::{self, Settlement};
use shop_common::orders::settle::Settled;
use sqlx::PgPool;

use super::{CRASHED, Runner, count_attempt, end_leases, hand_in};
use crate::payments::refund;

/// Refunds are settled one by one: there are few of them.
pub(super) type Settling = Grouper<Settlement, Result<Settled, Arc<CommitError>>>;

impl Runner {
    /// Gives a payment back, and settles what the gateway said.
    pub(super) async fn refund(&self, claim: Claim) {
        let started = Instant::now();
        let attempt = refund::attempt(&*self.gateway, &claim, self.limits);
        let Ok(outcome) = AssertUnwindSafe(attempt).catch_unwind().await else {
            tracing::error!(crashes = claim.job.crashes() + 1, "the handler panicked");
            count_attempt(RefundPayment::KIND, CRASHED, Some(started));
            return self.put_back(&claim, GivenBack::Crashed).await;
        };
        let settlement = Settlement { lease: claim.lease.clone(), outcome, jitter: rand::random_range(0.0..1.0) };
        let Some(settled) = hand_in(&self.refunds, &settlement).await else {
            count_attempt(RefundPayment::KIND, CRASHED, Some(started));
            return self.put_back(&claim, GivenBack::Crashed).await;
        };
        self.end(&claim, settled);
        let outcome = &settlement.outcome;
        count_attempt(RefundPayment::KIND, outcome.name(), Some(started));
        tracing::info!(
            claim = claim.job.claims,
            key = claim.key.as_str(),
            outcome = outcome.name(),
            code = outcome.code().unwrap_or(""),
            settled = ?settled,
            "refund"
        );
    }
}

/// Settles refunds in a task that nobody cancels.
pub(super) fn settling(
    pool: PgPool,
    queue: Queue,
    announcer: Announcer,
    backoff: Backoff,
    concurrency: usize,
) -> Settling {
    let limits = group::Limits { queue: concurrency.max(1), members: 1, weight: 1, patience: db::PATIENCE };
    Grouper::spawn(
        limits,
        |_| 1,
        move |settlements: Vec<Settlement>| {
            let (pool, queue, announcer) = (pool.clone(), queue.clone(), announcer.clone());
            async move {
                let mut results = Vec::with_capacity(settlements.len());
                for settlement in &settlements {
                    results.push(settle::settle(&pool, &announcer, backoff, settlement).await.map_err(Arc::new));
                }
                end_leases(&queue, settlements.into_iter().map(|settlement| settlement.lease), &results).await;
                results
            }
        },
    )
}
