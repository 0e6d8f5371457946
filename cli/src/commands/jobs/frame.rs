//! How the jobs are, as `jobs stats` and `jobs top` show it to people: counts, lateness, failures, workers.

use shop_common::jobs::act::Group;
use shop_common::jobs::lateness::Lateness;
use shop_common::jobs::stats::{Failing, Now, Stats};
use shop_common::jobs::workers::Worker;

use super::{pause, span};
use crate::output;

/// The counts, and what they mean.
pub(super) fn stats(stats: &Stats) -> String {
    let row = |group: &Group| [group.kind.clone(), group.state.as_str().to_owned(), group.jobs.to_string()];
    let counts = output::rendered(["KIND", "STATE", "JOBS"], stats.jobs.iter().map(row).collect());
    format!("{counts}\n\n{}", facts(stats))
}

fn facts(Stats { due, needing_operator, paused, workers, .. }: &Stats) -> String {
    let silent = if workers.silent > 0 { format!(", {} silent", workers.silent) } else { String::new() };
    let oldest = due.oldest_seconds.map(|age| format!(", the oldest for {}", span(age))).unwrap_or_default();
    let facts = [
        ("due", format!("{}{oldest}", due.jobs)),
        ("late", lateness(due.lateness)),
        ("begun late", lateness(workers.start_lateness)),
        ("settled", format!("{:.1} a second", workers.settled_per_second)),
        ("workers", format!("{} alive{silent}, {} jobs in hand", workers.alive, workers.in_hand)),
        ("need an operator", needing_operator.to_string()),
        ("claiming", paused.as_ref().map_or_else(|| "goes on".to_owned(), pause::since)),
    ];
    let rows = facts.into_iter().map(|(name, value)| [name.to_owned(), value]).collect();
    output::rendered(["FIELD", "VALUE"], rows)
}

/// How late half, and all but a hundredth, of some jobs were.
pub(crate) fn lateness(lateness: Option<Lateness>) -> String {
    output::or_dash(lateness.map(|Lateness { p50, p99 }| format!("p50 {}, p99 {}", span(p50), span(p99))))
}

/// All that `jobs top` shows of a moment.
pub(super) fn now(now: &Now) -> String {
    let failing = |failing: &Failing| {
        [failing.kind.clone(), failing.jobs.to_string(), output::time(&failing.last_at), failing.error.clone()]
    };
    let worker = |worker: &Worker| {
        [
            worker.boot_id.to_string(),
            format!("{}:{}", worker.host, worker.pid),
            worker.in_hand.to_string(),
            worker.settled.to_string(),
            format!("{:.1}", worker.settled_per_second),
            lateness(worker.start_lateness),
            state(worker),
        ]
    };
    let mut parts = vec![stats(&now.stats)];
    if !now.failing.is_empty() {
        let rows = now.failing.iter().map(failing).collect();
        parts.push(output::rendered(["FAILING", "JOBS", "LAST (UTC)", "ERROR"], rows));
    }
    if !now.who.is_empty() {
        let headers = ["WORKER", "PROCESS", "IN HAND", "SETTLED", "A SECOND", "BEGUN LATE", "STATE"];
        parts.push(output::rendered(headers, now.who.iter().map(worker).collect()));
    }
    parts.join("\n\n")
}

/// Whether a worker is there.
pub(crate) fn state(worker: &Worker) -> String {
    if worker.alive { "alive".to_owned() } else { format!("silent for {}", span(worker.silent_seconds)) }
}
