//! The invariants of ARCHITECTURE.md as queries: what must be true of the books at any moment.
//!
//! All are asked in one read-only snapshot, so a running shop can be verified. The
//! gateway's ledger is part of it only where the shop's own database holds it.

use serde::Serialize;
use sqlx::PgPool;

use crate::config;

/// Rows of one invariant that are shown, at most.
const SHOWN: i64 = 100;

/// The invariants that queries can check, what each means, and the query that finds what breaks it.
const CHECKS: [Check; 8] = [
    Check {
        invariant: "I1",
        meaning: "stock = movements - what orders hold, but for those whose pieces came back, and is never negative",
        ledger: false,
        query: "SELECT 'product ' || p.id,
                       format('stock is %s, but movements are %s and orders hold %s', p.stock, coalesce(m.moved, 0), coalesce(h.held, 0))
                FROM products p
                LEFT JOIN (SELECT product_id, sum(delta) AS moved FROM stock_movements GROUP BY 1) m ON m.product_id = p.id
                LEFT JOIN (SELECT i.product_id, sum(i.quantity) AS held
                           FROM order_items i JOIN orders o ON o.id = i.order_id LEFT JOIN refunds r ON r.order_id = o.id
                           WHERE o.status NOT IN ('FAILED', 'CANCELLED')
                             AND NOT (o.status = 'REFUNDED' AND coalesce(r.restock, true))
                           GROUP BY 1) h ON h.product_id = p.id
                WHERE p.stock < 0 OR p.stock <> coalesce(m.moved, 0) - coalesce(h.held, 0)
                ORDER BY p.id LIMIT $1",
    },
    Check {
        invariant: "I1",
        meaning: "the stock that lists are sorted by is the stock, of every product that is not deleted",
        ledger: false,
        query: "SELECT 'product ' || coalesce(p.id, l.product_id), format('stock is %s, but lists have it at %s', p.stock, l.pieces)
                FROM (SELECT id, stock FROM products WHERE deleted_at IS NULL) p
                FULL JOIN stock_levels l ON l.product_id = p.id
                WHERE p.stock IS DISTINCT FROM l.pieces
                ORDER BY 1 LIMIT $1",
    },
    Check {
        invariant: "I1",
        meaning: "an order's total is the sum of its items",
        ledger: false,
        query: "SELECT 'order ' || o.id, format('total is %s, but its items come to %s', o.total_minor, coalesce(sum(i.quantity * i.price_minor), 0))
                FROM orders o LEFT JOIN order_items i ON i.order_id = o.id
                GROUP BY o.id HAVING o.total_minor <> coalesce(sum(i.quantity * i.price_minor), 0)
                ORDER BY o.id LIMIT $1",
    },
    Check {
        invariant: "I2",
        meaning: "an order has a payment of its total, which is as far as the order",
        ledger: false,
        query: "SELECT 'order ' || o.id,
                       format('is %s of %s, and its payment is %s of %s', o.status, o.total_minor, coalesce(p.status, 'missing'), p.amount_minor)
                FROM orders o LEFT JOIN payments p ON p.order_id = o.id
                WHERE p.id IS NULL
                   OR p.amount_minor <> o.total_minor
                   OR p.status <> CASE o.status WHEN 'PROCESSING' THEN 'PENDING' WHEN 'CANCELLED' THEN 'FAILED' ELSE o.status END
                ORDER BY o.id LIMIT $1",
    },
    Check {
        invariant: "I2",
        meaning: "an order is refunded just when the refund that was asked for is done, and only a completed one is to be",
        ledger: false,
        query: "SELECT 'order ' || o.id,
                       format('is %s, and its refund is %s', o.status,
                              CASE WHEN r.order_id IS NULL THEN 'missing' WHEN r.refunded_at IS NULL THEN 'to be done' ELSE 'done' END)
                FROM orders o
                JOIN payments p ON p.order_id = o.id
                LEFT JOIN refunds r ON r.order_id = o.id
                WHERE (o.status = 'REFUNDED') <> (r.refunded_at IS NOT NULL)
                   OR r.order_id IS NOT NULL AND o.status NOT IN ('COMPLETED', 'REFUNDED')
                   OR r.payment_id <> p.id
                ORDER BY o.id LIMIT $1",
    },
    // A charge that was given back is no charge any more. While a refund is to be done, the gateway may have done it already.
    Check {
        invariant: "I2",
        meaning: "the gateway has captured a completed order's total exactly once, has given that of a refunded one back, and keeps nothing of one that has failed",
        ledger: true,
        query: "SELECT 'order ' || o.id,
                       format('is %s of %s, and the gateway has captured %s charges of %s and given %s back; the one that paid it is %s',
                              o.status, o.total_minor, coalesce(c.captured, 0), coalesce(c.amount, 0), coalesce(c.refunded, 0),
                              coalesce(own.state, 'missing'))
                FROM orders o
                JOIN payments p ON p.order_id = o.id
                LEFT JOIN refunds r ON r.order_id = o.id
                LEFT JOIN simulated_gateway.charges own ON own.key = p.id || ':' || p.charge_no
                LEFT JOIN (SELECT payment, count(*) FILTER (WHERE state = 'captured') AS captured,
                                  count(*) FILTER (WHERE state = 'refunded') AS refunded,
                                  sum(amount_minor) FILTER (WHERE state = 'captured') AS amount
                           FROM simulated_gateway.charges GROUP BY 1) c ON c.payment = p.id::text
                WHERE coalesce(c.captured, 0) > 1
                   OR coalesce(c.captured, 0) = 1 AND c.amount <> o.total_minor
                   OR o.status = 'COMPLETED' AND coalesce(c.captured, 0) <> 1
                      AND NOT (coalesce(c.captured, 0) = 0 AND own.state IS NOT DISTINCT FROM 'refunded' AND r.order_id IS NOT NULL)
                   OR o.status = 'REFUNDED' AND (coalesce(c.captured, 0) <> 0 OR own.state IS DISTINCT FROM 'refunded')
                   OR o.status IN ('FAILED', 'CANCELLED') AND coalesce(c.captured, 0) <> 0
                ORDER BY o.id LIMIT $1",
    },
    Check {
        invariant: "I2",
        meaning: "every charge of the gateway belongs to a payment of the shop",
        ledger: true,
        query: "SELECT 'charge ' || c.key, format('captured %s for payment %s, which the shop does not know', c.amount_minor, c.payment)
                FROM simulated_gateway.charges c LEFT JOIN payments p ON p.id::text = c.payment
                WHERE c.state = 'captured' AND p.id IS NULL ORDER BY c.key LIMIT $1",
    },
    Check {
        invariant: "I4",
        meaning: "an order that is open or to be refunded has exactly one live job, of that kind, any other has none",
        ledger: false,
        query: "SELECT 'order ' || o.id,
                       format('is %s%s and has %s live jobs', o.status,
                              CASE WHEN r.order_id IS NULL THEN '' ELSE format(', is to be refunded (%s)', coalesce(r.last_error, 'no error')) END,
                              coalesce(j.live, 0))
                FROM orders o
                LEFT JOIN refunds r ON r.order_id = o.id AND r.refunded_at IS NULL
                LEFT JOIN (SELECT order_id, count(*) AS live, count(*) FILTER (WHERE kind = 'refund_payment') AS refunds
                           FROM jobs WHERE state IN ('scheduled', 'running') GROUP BY 1) j ON j.order_id = o.id
                WHERE coalesce(j.live, 0) <> CASE WHEN o.status IN ('PENDING', 'PROCESSING') OR r.order_id IS NOT NULL THEN 1 ELSE 0 END
                   OR coalesce(j.refunds, 0) <> CASE WHEN r.order_id IS NOT NULL THEN 1 ELSE 0 END
                ORDER BY o.id LIMIT $1",
    },
];

struct Check {
    invariant: &'static str,
    meaning: &'static str,
    /// Whether it reads the ledger of the simulated gateway.
    ledger: bool,
    query: &'static str,
}

/// Where the gateway keeps its books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ledger {
    /// In the shop's own database: the gateway is the simulated one.
    Here,
    /// With the gateway, where only an audit compares them.
    Elsewhere,
}

impl Ledger {
    /// Where they are by these settings.
    pub fn of(gateway: &config::Gateway) -> Self {
        if gateway.url.is_some() { Self::Elsewhere } else { Self::Here }
    }
}

/// An invariant and what breaks it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = VerifyFinding)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Its number in ARCHITECTURE.md.
    pub invariant: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// What breaks it; nothing when all is well. The first 100.
    pub violations: Vec<Violation>,
}

/// A row that breaks an invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Violation {
    /// Which row.
    pub subject: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Checks all invariants, as far as the books are here.
///
/// # Errors
/// When the database refuses.
pub async fn verify(pool: &PgPool, books: Ledger) -> Result<Vec<Finding>, sqlx::Error> {
    let mut snapshot = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    // A large shop takes its time; the usual limit is for requests.
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *snapshot).await?;
    let mut findings = Vec::with_capacity(CHECKS.len());
    for Check { invariant, meaning, ledger, query } in CHECKS {
        if ledger && books == Ledger::Elsewhere {
            continue;
        }
        let rows: Vec<(String, String)> = sqlx::query_as(query).bind(SHOWN).fetch_all(&mut *snapshot).await?;
        let violations = rows.into_iter().map(|(subject, detail)| Violation { subject, detail }).collect();
        findings.push(Finding { invariant, meaning, violations });
    }
    snapshot.commit().await?;
    Ok(findings)
}
