//! What `shop-worker` exports, and nobody else.

use metrics::Unit;

use super::{JOB_KINDS, LATE, Labels, Metric, WORKER, counter, gauge, seconds};

/// What others' servers take.
const FOREIGN: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];

pub(super) static METRICS: &[Metric] = &[
    counter(
        "shop_orders_settled_total",
        Labels::Each("status", &["COMPLETED", "FAILED", "REFUNDED"]),
        WORKER,
        "Orders that have come to an end by the gateway's word.",
    ),
    gauge(
        "shop_jobs",
        Unit::Count,
        Labels::Product(("kind", JOB_KINDS), ("state", &["scheduled", "running"])),
        WORKER,
        "Jobs that live, of the whole database; up to 100000 of each state are counted.",
    ),
    gauge(
        "shop_jobs_due",
        Unit::Count,
        Labels::Each("kind", JOB_KINDS),
        WORKER,
        "Jobs whose time has come and that nobody has, of the whole database; up to 100000 are counted.",
    ),
    gauge(
        "shop_jobs_oldest_due_age_seconds",
        Unit::Seconds,
        Labels::Each("kind", JOB_KINDS),
        WORKER,
        "How long the oldest due job has been due, of the whole database; 0 without one.",
    ),
    gauge(
        "shop_jobs_needing_operator",
        Unit::Count,
        Labels::Each("kind", JOB_KINDS),
        WORKER,
        "Dead jobs whose orders are open or to be refunded, of the whole database (shopctl jobs list --needs-operator).",
    ),
    gauge(
        "shop_jobs_paused",
        Unit::Count,
        Labels::None,
        WORKER,
        "1 while claiming is paused (shopctl jobs pause), else 0.",
    ),
    gauge(
        "shop_workers_alive",
        Unit::Count,
        Labels::None,
        WORKER,
        "Workers whose heartbeat is younger than a lease, of the whole database.",
    ),
    gauge(
        "shop_jobs_counted_timestamp_seconds",
        Unit::Seconds,
        Labels::None,
        WORKER,
        "When this worker has counted the jobs last; while PostgreSQL is away the counts stay as they were.",
    ),
    seconds(
        "shop_job_start_lateness_seconds",
        LATE,
        Labels::Each("kind", JOB_KINDS),
        WORKER,
        "Time from when a job was due to its claim; without those taken over from a silent worker.",
    ),
    counter(
        "shop_job_attempts_total",
        Labels::Rows(
            "kind",
            "outcome",
            &[
                ("charge_payment", &["approved", "declined", "transient", "unknown", "voided", "crashed"]),
                ("refund_payment", &["refunded", "refund_unknown", "refund_impossible", "crashed"]),
                ("other", &["not_known"]),
            ],
        ),
        WORKER,
        "Attempts at jobs, by what came of them; not_known were put back for a newer worker.",
    ),
    seconds(
        "shop_job_attempt_duration_seconds",
        FOREIGN,
        Labels::Each("kind", JOB_KINDS),
        WORKER,
        "Time from the start of an attempt to its settlement.",
    ),
    counter(
        "shop_jobs_settled_total",
        Labels::Rows(
            "kind",
            "result",
            &[
                ("charge_payment", &["completed", "dead", "retried", "buried", "fenced"]),
                ("refund_payment", &["completed", "retried", "buried", "fenced"]),
            ],
        ),
        WORKER,
        "What became of jobs: dead ended in a failed order, buried ones need an operator, fenced ones were another worker's.",
    ),
    counter(
        "shop_jobs_taken_over_total",
        Labels::Each("kind", JOB_KINDS),
        WORKER,
        "Jobs that were taken over from a worker that had gone silent.",
    ),
    counter("shop_jobs_reaped_total", Labels::None, WORKER, "Leases that had run out and were made due again."),
    counter(
        "shop_jobs_reconciled_total",
        Labels::None,
        WORKER,
        "Jobs that Redis had lost and that were scheduled again.",
    ),
    counter(
        "shop_jobs_disowned_total",
        Labels::None,
        WORKER,
        "Jobs that were this worker's without its knowledge (a claim's answer got lost) and were given back.",
    ),
    counter(
        "shop_jobs_abandoned_total",
        Labels::None,
        WORKER,
        "Jobs in hand that a drain has released because they did not end in time.",
    ),
    gauge("shop_worker_jobs_in_hand", Unit::Count, Labels::None, WORKER, "Jobs that this worker has in hand."),
    gauge(
        "shop_worker_jobs_in_hand_limit",
        Unit::Count,
        Labels::None,
        WORKER,
        "Jobs that this worker has at the gateway at the same time, at most (worker.concurrency); those that wait to be settled are in hand besides.",
    ),
    gauge(
        "shop_worker_heartbeat_timestamp_seconds",
        Unit::Seconds,
        Labels::None,
        WORKER,
        "When PostgreSQL has heard this worker's heartbeat last; 0 before the first.",
    ),
    counter(
        "shop_gateway_requests_total",
        Labels::Rows(
            "operation",
            "outcome",
            &[
                ("charge", &["approved", "declined", "transient", "unknown", "abandoned"]),
                ("lookup", &["found", "not_found", "unknown", "abandoned"]),
                ("void", &["voided", "already_captured", "unknown", "abandoned"]),
                ("refund", &["refunded", "nothing_captured", "unknown", "abandoned"]),
                ("ledger", &["page", "unknown", "abandoned"]),
            ],
        ),
        WORKER,
        "Calls of the payment gateway; abandoned ones were not answered within gateway.timeout_ms.",
    ),
    seconds(
        "shop_gateway_request_duration_seconds",
        FOREIGN,
        Labels::Each("operation", &["charge", "lookup", "void", "refund", "ledger"]),
        WORKER,
        "Time that a call of the payment gateway took, or was waited for.",
    ),
    counter(
        "shop_gateway_audits_total",
        Labels::Each("outcome", &["compared", "failed", "left"]),
        WORKER,
        "Audits of the gateway's ledger that this worker has done; left ones another worker goes on with.",
    ),
    counter(
        "shop_gateway_audit_findings_total",
        Labels::Each("finding", &["forgotten", "double", "missing", "amount"]),
        WORKER,
        "Charges and payments that differ, as audits have found them.",
    ),
];
