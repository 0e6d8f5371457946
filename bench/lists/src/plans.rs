//! The plans by which PostgreSQL runs what the shop asks: `auto_explain` tells them as notices, which sqlx logs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Where sqlx logs notices.
const NOTICES: &str = "sqlx::postgres::notice";
/// The tables that are never to be read from end to end.
const LARGE: [&str; 4] = ["products", "orders", "users", "payments"];

/// The plans that were told.
#[derive(Clone, Default)]
pub(crate) struct Plans(Arc<Mutex<Vec<String>>>);

impl Plans {
    /// Listens from now on.
    pub(crate) fn listen() -> Self {
        let plans = Self::default();
        let notices = Targets::new().with_target(NOTICES, LevelFilter::INFO);
        tracing_subscriber::registry().with(plans.clone().with_filter(notices)).init();
        plans
    }

    /// What was told since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How the plan begins of a statement that is only explained, as totals are estimated: it reads no rows.
const ONLY_EXPLAINED: &str = "Query Text: EXPLAIN";

/// Which of the large tables are read from end to end by these plans.
pub(crate) fn scanned(plans: &[String]) -> Vec<&'static str> {
    let run = || plans.iter().filter(|plan| !plan.contains(ONLY_EXPLAINED));
    let scans = |table: &&str| run().any(|plan| plan.contains(&format!("Seq Scan on {table} ")));
    LARGE.into_iter().filter(scans).collect()
}

impl<S: Subscriber> Layer<S> for Plans {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(message.0);
    }
}

/// The text of a log line.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_is_seen_where_there_is_one() {
        let plan = |text: &str| vec![text.to_owned()];
        assert_eq!(scanned(&plan("  ->  Seq Scan on products  (cost=0.00..1.00")), ["products"]);
        assert_eq!(scanned(&plan("  ->  Parallel Seq Scan on orders o  (cost=0.00..1.00")), ["orders"]);
        let explained = "plan:\nQuery Text: EXPLAIN (FORMAT JSON) SELECT FROM orders\nSeq Scan on orders  (cost=0.00";
        assert_eq!(scanned(&plan(explained)), [""; 0]);
        assert_eq!(scanned(&plan("  ->  Seq Scan on product_search  (cost=0.00..1.00")), [""; 0]);
        assert_eq!(scanned(&plan("  ->  Index Scan using products_by_name on products  (cost=0.42..1.00")), [""; 0]);
    }
}
