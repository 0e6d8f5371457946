//! Settling: what the gateway said is written down with whatever else came at the same time, and the leases are given up.

use std::sync::Arc;
use std::time::Duration;

use shop_common::chaos;
use shop_common::db::{self, CommitError, Locks};
use shop_common::events::Announcer;
use shop_common::group::{self, GroupError, Grouper};
use shop_common::jobs::queue::{Lease, Queue};
use shop_common::orders::settle::{self, Settled, Settlement};
use shop_common::payments::next::Policy;
use shop_common::trace::{Span, TraceContext};
use sqlx::PgPool;

use super::CLAIM;
use crate::trace;

/// How long to wait before a settlement that the database refused is handed in again.
const SETTLE_AGAIN: Duration = Duration::from_millis(200);
/// How often the database may refuse a settlement, for another reason than being busy or away.
const SETTLE_REFUSALS: i32 = 5;

/// Where settlements are handed in, each with the attempt that it is a part of.
pub(super) type Settling<S> = Grouper<(S, Option<TraceContext>), Result<Settled, Arc<CommitError>>>;

/// Hands a settlement in until the database takes it: the gateway's answer is
/// not thrown away because PostgreSQL is away for a while. Gives nothing when the
/// database refuses this very settlement again and again.
pub(super) async fn hand_in<S>(settlements: &Settling<S>, settlement: &S) -> Option<Settled>
where
    S: Clone + Send + 'static,
{
    let mut refusals = 0;
    loop {
        match settlements.submit((settlement.clone(), trace::current())).await {
            Ok(Ok(settled)) => return Some(settled),
            Ok(Err(error)) => {
                refusals += i32::from(error.is_refusal());
                if refusals >= SETTLE_REFUSALS {
                    tracing::error!(%error, "cannot settle, putting the job back");
                    return None;
                }
                tracing::warn!(%error, "cannot settle, trying again");
            }
            Err(error @ (GroupError::Full | GroupError::Lost)) => {
                tracing::warn!(%error, "cannot settle, trying again")
            }
        }
        tokio::time::sleep(SETTLE_AGAIN).await;
    }
}

/// Settlements go in groups; their leases are given up together after the commit.
pub(super) fn settling(
    pool: PgPool,
    queue: Queue,
    announcer: Announcer,
    policy: Policy,
    in_hand: usize,
) -> Settling<Settlement> {
    let limits = group::Limits { queue: in_hand, members: CLAIM, weight: CLAIM, lanes: 2, patience: db::PATIENCE };
    Grouper::spawn(
        limits,
        |_| 1,
        move |group: Vec<(Settlement, Option<TraceContext>)>| {
            let (pool, queue, announcer) = (pool.clone(), queue.clone(), announcer.clone());
            async move {
                let (settlements, attempts): (Vec<_>, Vec<_>) = group.into_iter().unzip();
                let attempts: Vec<_> = attempts.iter().flatten().collect();
                let span = Span::of_group("settle payments", &attempts);
                let results = settle_group(&pool, &queue, &announcer, policy, settlements).await;
                tell(span, &results);
                results
            }
        },
    )
}

async fn settle_group(
    pool: &PgPool,
    queue: &Queue,
    announcer: &Announcer,
    policy: Policy,
    settlements: Vec<Settlement>,
) -> Vec<Result<Settled, Arc<CommitError>>> {
    let together = settle::settle(pool, announcer, policy, Locks::Usual, &settlements).await;
    let results: Vec<Result<Settled, Arc<CommitError>>> = match together {
        Ok(settled) => settled.into_iter().map(Ok).collect(),
        Err(CommitError::RolledBack(error)) if settlements.len() > 1 && error.as_database_error().is_some() => {
            tracing::warn!(%error, "a group of settlements failed, settling one by one");
            let mut results = Vec::with_capacity(settlements.len());
            for settlement in &settlements {
                let alone =
                    settle::settle(pool, announcer, policy, Locks::Briefly, std::slice::from_ref(settlement)).await;
                results.push(alone.map(|one| one.first().copied().unwrap_or(Settled::Fenced)).map_err(Arc::new));
            }
            results
        }
        Err(error) => {
            let error = Arc::new(error);
            settlements.iter().map(|_| Err(Arc::clone(&error))).collect()
        }
    };
    end_leases(queue, settlements.into_iter().map(|settlement| settlement.lease), &results).await;
    results
}

/// Ends the span of a group of settlements.
pub(super) fn tell(span: Span, results: &[Result<Settled, Arc<CommitError>>]) {
    span.end(|span| {
        span.number("shop.group.size", i64::try_from(results.len()).unwrap_or(i64::MAX));
        if results.iter().any(Result::is_err) {
            span.failed("not_settled");
        }
    });
}

/// Gives up the leases of what was settled: those that are to be tried again go back to the schedule.
pub(super) async fn end_leases(
    queue: &Queue,
    leases: impl Iterator<Item = Lease>,
    results: &[Result<Settled, Arc<CommitError>>],
) {
    let (mut over, mut again) = (Vec::new(), Vec::new());
    for (lease, result) in leases.zip(results) {
        match result {
            Ok(Settled::Again(delay)) => again.push((lease, *delay)),
            Ok(Settled::Ended(_) | Settled::Buried | Settled::Fenced) => over.push(lease),
            Err(_) => {}
        }
    }
    // What Redis does not hear, the reaper and the reconciler make good.
    if let Err(error) = queue.release(&again).await.and(queue.ack(&over).await) {
        tracing::warn!(%error, "Redis did not take the settlement");
    }
    chaos::step("ack.after");
}
