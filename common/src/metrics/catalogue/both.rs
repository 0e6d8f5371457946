//! What both daemons export: their servers, and themselves.

use metrics::Unit;

use super::{BOTH, Kind, Labels, Metric, counter, gauge, seconds};

/// Calls of our own servers, in one network.
const CALL: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0];

pub(super) static METRICS: &[Metric] = &[
    gauge(
        "shop_db_pool_connections",
        Unit::Count,
        Labels::Each("state", &["idle", "used"]),
        BOTH,
        "Connections to PostgreSQL that are open.",
    ),
    gauge(
        "shop_db_pool_max_connections",
        Unit::Count,
        Labels::None,
        BOTH,
        "Connections to PostgreSQL that there may be (databases.pg.max_connections).",
    ),
    seconds(
        "shop_db_pool_acquire_duration_seconds",
        CALL,
        Labels::None,
        BOTH,
        "How long a look each 5 s had to wait for a connection of the pool.",
    ),
    counter(
        "shop_db_pool_acquire_failures_total",
        Labels::None,
        BOTH,
        "Looks that got no connection: PostgreSQL is away, or the pool is exhausted.",
    ),
    gauge(
        "shop_ready",
        Unit::Count,
        Labels::None,
        BOTH,
        "1 if the daemon could do its work at the last look (/readyz: ready or degraded), else 0.",
    ),
    gauge("shop_postgres_up", Unit::Count, Labels::None, BOTH, "1 if PostgreSQL has answered the last look, else 0."),
    gauge("shop_redis_up", Unit::Count, Labels::None, BOTH, "1 if Redis has answered the last look, else 0."),
    counter(
        "shop_redis_commands_total",
        Labels::Each("outcome", &["ok", "error", "abandoned"]),
        BOTH,
        "Commands and scripts that were sent to Redis; abandoned ones nobody waited for any longer.",
    ),
    seconds(
        "shop_redis_command_duration_seconds",
        CALL,
        Labels::None,
        BOTH,
        "Time that Redis took to answer, or was waited for.",
    ),
    counter("shop_redis_disconnects_total", Labels::None, BOTH, "Connections to Redis that broke."),
    gauge(
        "shop_build_info",
        Unit::Count,
        Labels::Open(&["version"]),
        BOTH,
        "Always 1; the label says which version runs.",
    ),
    gauge("tokio_alive_tasks", Unit::Count, Labels::None, BOTH, "Tasks of the async runtime."),
    gauge("tokio_queued_tasks", Unit::Count, Labels::None, BOTH, "Tasks that wait in the runtime's global queue."),
    Metric {
        name: "process_cpu_seconds_total",
        kind: Kind::Counter,
        unit: Unit::Seconds,
        labels: Labels::None,
        of: BOTH,
        help: "Total user and system CPU time spent in seconds, whole ones.",
    },
    gauge("process_resident_memory_bytes", Unit::Bytes, Labels::None, BOTH, "Resident memory size in bytes."),
    gauge("process_virtual_memory_bytes", Unit::Bytes, Labels::None, BOTH, "Virtual memory size in bytes."),
    gauge("process_open_fds", Unit::Count, Labels::None, BOTH, "Number of open file descriptors."),
    gauge("process_max_fds", Unit::Count, Labels::None, BOTH, "Maximum number of open file descriptors."),
    gauge("process_threads", Unit::Count, Labels::None, BOTH, "Number of OS threads in the process."),
    gauge(
        "process_start_time_seconds",
        Unit::Seconds,
        Labels::None,
        BOTH,
        "Start time of the process since unix epoch in seconds.",
    ),
];
