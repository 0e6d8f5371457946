//! What this worker tells Prometheus of the whole database: how many jobs wait and for how long, and how many workers live.
//!
//! Every worker tells the same, so that it is told as long as one of them lives; whoever reads takes the largest.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shop_common::jobs::{backlog, dead, known_kind, workers};
use shop_common::metrics::catalogue::JOB_KINDS;
use tokio::time::sleep;

use crate::runner::Runner;

/// How often the jobs are counted.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Those that need an operator are counted at each so-manieth look: they come seldom, and cost what is open.
const OPERATOR_EACH: u32 = 12;
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Counts for ever; drop it to stop.
pub(crate) async fn watch(runner: Arc<Runner>) {
    for look in 0.. {
        let runner = Arc::clone(&runner);
        // In a task that nobody cancels, as everything that uses a connection.
        let looking = tokio::spawn(async move { count(&runner, look % OPERATOR_EACH == 0).await });
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::debug!(%error, "cannot count the jobs"),
            Ok(Err(_)) | Err(_) => tracing::debug!("cannot count the jobs"),
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Counts once.
async fn count(runner: &Runner, operator_too: bool) -> Result<(), sqlx::Error> {
    let pool = runner.pool();
    show_live(&backlog::live(pool).await?);
    if operator_too {
        show_needing_operator(dead::count_needing_operator(pool).await?);
    }
    metrics::gauge!("shop_workers_alive").set(workers::count_alive(pool, runner.lease()).await? as f64);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    metrics::gauge!("shop_jobs_counted_timestamp_seconds").set(now.as_secs_f64());
    Ok(())
}

fn show_live(live: &[backlog::Live]) {
    for kind in JOB_KINDS {
        let (mut scheduled, mut running, mut due, mut oldest) = (0, 0, 0, 0.0_f64);
        for live in live.iter().filter(|live| known_kind(&live.kind) == *kind) {
            scheduled += live.scheduled;
            running += live.running;
            due += live.due;
            oldest = oldest.max(live.oldest_due_seconds);
        }
        metrics::gauge!("shop_jobs", "kind" => *kind, "state" => "scheduled").set(scheduled as f64);
        metrics::gauge!("shop_jobs", "kind" => *kind, "state" => "running").set(running as f64);
        metrics::gauge!("shop_jobs_due", "kind" => *kind).set(due as f64);
        metrics::gauge!("shop_jobs_oldest_due_age_seconds", "kind" => *kind).set(oldest);
    }
}

fn show_needing_operator(dead: Vec<(String, i64)>) {
    let mut by_kind: HashMap<&str, i64> = HashMap::new();
    for (kind, jobs) in dead {
        *by_kind.entry(known_kind(&kind)).or_default() += jobs;
    }
    for kind in JOB_KINDS {
        let jobs = by_kind.get(kind).copied().unwrap_or(0);
        metrics::gauge!("shop_jobs_needing_operator", "kind" => *kind).set(jobs as f64);
    }
}
