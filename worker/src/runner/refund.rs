//! What a worker does with the job of a refund: ask the gateway, settle, acknowledge.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use shop_common::db;
use shop_common::events::Announcer;
use shop_common::group::{self, Grouper};
use shop_common::jobs::RefundPayment;
use shop_common::jobs::queue::Queue;
use shop_common::jobs::retry::Backoff;
use shop_common::orders::claim::Claim;
use shop_common::orders::refund::settle::{self, Outcome, Settlement};
use shop_common::trace::{Kind, Span, TraceContext};
use sqlx::PgPool;

use super::attempt::Came;
use super::room::Place;
use super::settling::{Settling, end_leases, hand_in, tell};
use super::{CRASHED, Runner, count_attempt};
use crate::payments::refund;

impl Runner {
    /// Gives a payment back, and settles what the gateway said.
    pub(super) async fn refund(&self, claim: Claim, place: &mut Place) -> Came {
        let started = Instant::now();
        let attempt = refund::attempt(&*self.gateway, &claim, self.limits);
        let Ok(outcome) = AssertUnwindSafe(attempt).catch_unwind().await else {
            count_attempt(RefundPayment::KIND, CRASHED, Some(started));
            return self.crashed(&claim).await;
        };
        let elapsed = started.elapsed();
        place.answered();
        let settlement = Settlement { lease: claim.lease.clone(), outcome, jitter: rand::random_range(0.0..1.0) };
        let settled = hand_in(&self.refunds, &settlement).await;
        self.end(&claim, settled).await;
        let outcome = settlement.outcome;
        count_attempt(RefundPayment::KIND, settled.map_or(CRASHED, |_| outcome.name()), Some(started));
        Came {
            outcome: outcome.name(),
            code: outcome.code().map(str::to_owned),
            wrong: settled.is_none() || outcome != Outcome::Refunded,
            gateway: Some(elapsed),
            settled,
        }
    }
}

/// Settles refunds in a task that nobody cancels, one by one: there are few of them.
pub(super) fn settling(
    pool: PgPool,
    queue: Queue,
    announcer: Announcer,
    backoff: Backoff,
    in_hand: usize,
) -> Settling<Settlement> {
    let limits = group::Limits { queue: in_hand, members: 1, weight: 1, lanes: 1, patience: db::PATIENCE };
    Grouper::spawn(
        limits,
        |_| 1,
        move |settlements: Vec<(Settlement, Option<TraceContext>)>| {
            let (pool, queue, announcer) = (pool.clone(), queue.clone(), announcer.clone());
            async move {
                let mut results = Vec::with_capacity(settlements.len());
                for (settlement, attempt) in &settlements {
                    let span = Span::begin(Kind::Internal, "settle refund", attempt.as_ref());
                    let settled = settle::settle(&pool, &announcer, backoff, settlement).await.map_err(Arc::new);
                    tell(span, std::slice::from_ref(&settled));
                    results.push(settled);
                }
                end_leases(&queue, settlements.into_iter().map(|(settlement, _)| settlement.lease), &results).await;
                results
            }
        },
    )
}
