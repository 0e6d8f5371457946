//! All that a replay found out, and the verdict on it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::place::Placed;
use crate::plan::Plan;
use crate::settle::{Settled, is_terminal};
use crate::stock::Wrong;
use crate::verify::Verified;

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) run_id: String,
    pub(crate) placed: Placed,
    pub(crate) settled: Settled,
    pub(crate) stock: Vec<Wrong>,
    pub(crate) verified: Verified,
    /// Requests that were sent again, by cause: no problem as such.
    pub(crate) resent: BTreeMap<String, usize>,
}

impl Outcome {
    /// Everything that is not as it should be; empty means that the shop passed.
    ///
    /// A sale that the shop refused is among them: the plan sends only what can be sold, and there is stock for all of it.
    pub(crate) fn problems(&self, plan: &Plan) -> Vec<String> {
        let mut problems = Vec::new();
        let mut note = |count: usize, what: &str| {
            if count > 0 {
                problems.push(format!("{what}: {count}"));
            }
        };
        note(
            plan.carts().filter(|(invoice, _)| !self.placed.fates.contains_key(invoice)).count(),
            "sales that were never sent",
        );
        note(self.refused().values().sum(), "sales that the shop refused");
        note(
            self.placed.orders(plan).filter(|(order, cart)| order.total != plan.total(cart)).count(),
            "orders with a wrong total",
        );
        note(
            self.statuses(plan).iter().filter(|(status, _)| !is_terminal(status)).map(|(_, count)| count).sum(),
            "orders that did not settle",
        );
        note(self.settled.failures.values().sum(), "lists of orders that could not be read");
        note(self.stock.len(), "products with a wrong stock");
        note(usize::from(matches!(self.verified, Verified::Failed(_))), "failed verifications");
        problems
    }

    /// Sales that the shop did not take, by its reason.
    pub(crate) fn refused(&self) -> BTreeMap<&str, usize> {
        count(
            self.placed
                .fates
                .values()
                .filter_map(|fate| fate.answer.as_ref().err())
                .map(|failure| failure.reason.as_str()),
        )
    }

    /// Orders by the status in which they were last seen.
    pub(crate) fn statuses(&self, plan: &Plan) -> BTreeMap<&str, usize> {
        count(self.placed.orders(plan).map(|(order, _)| self.settled.status(&order.id)))
    }

    /// How long the placements that were accepted took, shortest first.
    pub(crate) fn latencies(&self) -> Vec<Duration> {
        let mut latencies: Vec<_> =
            self.placed.fates.values().filter(|fate| fate.answer.is_ok()).map(|fate| fate.latency).collect();
        latencies.sort_unstable();
        latencies
    }
}

fn count<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// The latency that this share of all, in percent, did not exceed (nearest rank).
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.max(1) - 1).copied()
}

/// How many of something there were in each second.
#[expect(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
pub(crate) fn per_second(count: usize, took: Duration) -> f64 {
    if took.is_zero() { 0.0 } else { count as f64 / took.as_secs_f64() }
}

#[cfg(test)]
mod tests;
