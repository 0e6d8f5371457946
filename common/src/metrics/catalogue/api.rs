//! What `shop-api` exports, and nobody else.

use metrics::Unit;

use super::{API, Kind, LATE, Labels, Metric, counter, gauge, seconds};

/// Answers over HTTP: from what memory answers to what has waited for everything.
const REQUEST: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// A group of at most 64, as the settings have it by default.
const GROUP: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
/// The groups of routes that share a limit.
const LIMITS: &[&str] = &["login", "login-account", "register", "knocks", "connects", "writes", "reads"];
/// Kinds of sockets.
const SOCKETS: &[&str] = &["websocket", "socket_io"];

pub(super) static METRICS: &[Metric] = &[
    counter(
        "http_requests_total",
        Labels::Open(&["method", "route", "status"]),
        API,
        "Requests that were answered; the route as a template, and unmatched for what is none.",
    ),
    seconds(
        "http_request_duration_seconds",
        REQUEST,
        Labels::Open(&["method", "route"]),
        API,
        "Time from a request's headers to the head of its answer.",
    ),
    gauge(
        "http_requests_in_flight",
        Unit::Count,
        Labels::None,
        API,
        "Requests that are being answered, without health, metrics and sockets.",
    ),
    gauge(
        "http_requests_in_flight_limit",
        Unit::Count,
        Labels::None,
        API,
        "Requests that may be answered at the same time; more get 503 (requests.in_flight).",
    ),
    counter(
        "shop_api_errors_total",
        Labels::Open(&["code"]),
        API,
        "Errors that clients were answered, by the code of docs/api.md; without refused orders and replays.",
    ),
    counter(
        "shop_conditional_requests_total",
        Labels::Each("result", &["not_modified", "modified"]),
        API,
        "Reads that named an entity tag; not_modified had what there is, and were answered 304.",
    ),
    counter(
        "shop_catalogue_answers_total",
        Labels::Each("from", &["memory", "database"]),
        API,
        "Answers about products that were wanted; from memory: kept, and still good.",
    ),
    counter("shop_orders_placed_total", Labels::None, API, "Orders that were accepted, each once."),
    counter(
        "shop_orders_refused_total",
        Labels::Each("reason", &["insufficient_stock", "unknown_product", "total_too_large"]),
        API,
        "Orders that were refused, by the reason.",
    ),
    counter(
        "shop_idempotent_replays_total",
        Labels::None,
        API,
        "Orders that were answered with the kept answer of their Idempotency-Key.",
    ),
    counter("shop_orders_cancelled_total", Labels::None, API, "Orders that their customers have cancelled."),
    counter(
        "shop_refunds_requested_total",
        Labels::None,
        API,
        "Refunds that were asked for over the api, each once; those of shopctl are not counted.",
    ),
    Metric {
        name: "shop_placement_group_orders",
        kind: Kind::Histogram(GROUP),
        unit: Unit::Count,
        labels: Labels::None,
        of: API,
        help: "Orders that went together in one transaction.",
    },
    seconds(
        "shop_placement_group_duration_seconds",
        REQUEST,
        Labels::None,
        API,
        "Time that a group of orders took, its commit included.",
    ),
    gauge("shop_placement_waiting_orders", Unit::Count, Labels::None, API, "Orders that wait for the next group."),
    gauge(
        "shop_placement_waiting_orders_limit",
        Unit::Count,
        Labels::None,
        API,
        "Orders that may wait; more get 503 (placement.queue).",
    ),
    counter(
        "shop_rate_limit_decisions_total",
        Labels::Product(("group", LIMITS), ("outcome", &["admitted", "refused"])),
        API,
        "Requests that a rate limit has decided on.",
    ),
    gauge(
        "shop_rate_limits_local",
        Unit::Count,
        Labels::None,
        API,
        "1 while this api counts requests by itself because Redis is away, else 0.",
    ),
    counter(
        "shop_logins_total",
        Labels::Each("outcome", &["succeeded", "wrong_credentials"]),
        API,
        "Logins whose password was looked at.",
    ),
    counter(
        "shop_token_refreshes_total",
        Labels::Each("outcome", &["refreshed", "invalid", "reused"]),
        API,
        "Refresh tokens that were handed in; reused ended a session: somebody may have a copy.",
    ),
    seconds(
        "shop_password_hash_duration_seconds",
        REQUEST,
        Labels::None,
        API,
        "Time that a password was hashed or checked, without the wait before.",
    ),
    gauge(
        "shop_password_hash_queue_length",
        Unit::Count,
        Labels::None,
        API,
        "Passwords that wait for a thread to hash them.",
    ),
    gauge("shop_live_sockets", Unit::Count, Labels::Each("kind", SOCKETS), API, "Sockets that are open."),
    counter("shop_live_sockets_opened_total", Labels::Each("kind", SOCKETS), API, "Sockets that were opened."),
    counter(
        "shop_live_sockets_ended_total",
        Labels::Rows(
            "kind",
            "reason",
            &[
                (
                    "websocket",
                    &[
                        "left",
                        "slow_reader",
                        "token_expired",
                        "token_revoked",
                        "bad_message",
                        "no_sign_of_life",
                        "server_restarts",
                    ],
                ),
                ("socket_io", &["left", "slow_reader", "token_expired", "token_revoked"]),
            ],
        ),
        API,
        "Sockets that have ended, by the reason.",
    ),
    counter(
        "shop_live_messages_total",
        Labels::Product(("kind", SOCKETS), ("message", &["event", "resync"])),
        API,
        "Messages that sockets have taken: events, and words that one has to start afresh.",
    ),
    seconds(
        "shop_live_relay_lag_seconds",
        LATE,
        Labels::None,
        API,
        "Time from an event's transaction to its handing out, by this host's clock and PostgreSQL's.",
    ),
];
