//! The invariants of ARCHITECTURE.md as queries: what must be true of the books at any moment.
//!
//! All are asked in one read-only snapshot, so a running shop can be verified.

use serde::Serialize;
use sqlx::PgPool;

/// Rows of one invariant that are shown, at most.
const SHOWN: i64 = 100;

/// The invariants that queries can check, what each means, and the query that finds what breaks it.
const CHECKS: [Check; 5] = [
    Check {
        invariant: "I1",
        meaning: "stock = movements - what open and paid orders hold, and is never negative",
        query: "SELECT 'product ' || p.id,
                       format('stock is %s, but movements are %s and orders hold %s', p.stock, coalesce(m.moved, 0), coalesce(h.held, 0))
                FROM products p
                LEFT JOIN (SELECT product_id, sum(delta) AS moved FROM stock_movements GROUP BY 1) m ON m.product_id = p.id
                LEFT JOIN (SELECT i.product_id, sum(i.quantity) AS held
                           FROM order_items i JOIN orders o ON o.id = i.order_id
                           WHERE o.status NOT IN ('FAILED', 'CANCELLED', 'REFUNDED') GROUP BY 1) h ON h.product_id = p.id
                WHERE p.stock < 0 OR p.stock <> coalesce(m.moved, 0) - coalesce(h.held, 0)
                ORDER BY p.id LIMIT $1",
    },
    Check {
        invariant: "I1",
        meaning: "an order's total is the sum of its items",
        query: "SELECT 'order ' || o.id, format('total is %s, but its items come to %s', o.total_minor, coalesce(sum(i.quantity * i.price_minor), 0))
                FROM orders o LEFT JOIN order_items i ON i.order_id = o.id
                GROUP BY o.id HAVING o.total_minor <> coalesce(sum(i.quantity * i.price_minor), 0)
                ORDER BY o.id LIMIT $1",
    },
    Check {
        invariant: "I2",
        meaning: "the gateway has captured a completed order's total exactly once, and nothing of one that has failed",
        query: "SELECT 'order ' || o.id,
                       format('is %s, its payment is %s of %s, and the gateway has captured %s charges of %s',
                              o.status, coalesce(p.status, 'missing'), p.amount_minor, coalesce(c.charges, 0), coalesce(c.amount, 0))
                FROM orders o
                LEFT JOIN payments p ON p.order_id = o.id
                LEFT JOIN (SELECT payment, count(*) AS charges, sum(amount_minor) AS amount
                           FROM simulated_gateway.charges WHERE state IN ('captured', 'refunded') GROUP BY 1) c ON c.payment = p.id::text
                WHERE p.id IS NULL
                   OR p.amount_minor <> o.total_minor
                   OR coalesce(c.charges, 0) > 1
                   OR o.status IN ('COMPLETED', 'REFUNDED')
                      AND (coalesce(c.charges, 0) <> 1 OR c.amount <> o.total_minor OR p.status <> o.status)
                   OR o.status IN ('FAILED', 'CANCELLED') AND (coalesce(c.charges, 0) <> 0 OR p.status <> 'FAILED')
                   OR o.status IN ('PENDING', 'PROCESSING') AND p.status <> 'PENDING'
                ORDER BY o.id LIMIT $1",
    },
    Check {
        invariant: "I2",
        meaning: "every charge of the gateway belongs to a payment of the shop",
        query: "SELECT 'charge ' || c.key, format('captured %s for payment %s, which the shop does not know', c.amount_minor, c.payment)
                FROM simulated_gateway.charges c LEFT JOIN payments p ON p.id::text = c.payment
                WHERE c.state = 'captured' AND p.id IS NULL ORDER BY c.key LIMIT $1",
    },
    Check {
        invariant: "I4",
        meaning: "an order that is open has exactly one live job, any other has none",
        query: "SELECT 'order ' || o.id, format('is %s and has %s live jobs', o.status, coalesce(j.live, 0))
                FROM orders o
                LEFT JOIN (SELECT order_id, count(*) AS live FROM jobs WHERE state IN ('scheduled', 'running') GROUP BY 1) j ON j.order_id = o.id
                WHERE coalesce(j.live, 0) <> CASE WHEN o.status IN ('PENDING', 'PROCESSING') THEN 1 ELSE 0 END
                ORDER BY o.id LIMIT $1",
    },
];

struct Check {
    invariant: &'static str,
    meaning: &'static str,
    query: &'static str,
}

/// An invariant and what breaks it.
#[derive(Debug, Clone, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Violation {
    /// Which row.
    pub subject: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Checks all invariants.
///
/// # Errors
/// When the database refuses.
pub async fn verify(pool: &PgPool) -> Result<Vec<Finding>, sqlx::Error> {
    let mut snapshot = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    // A large shop takes its time; the usual limit is for requests.
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *snapshot).await?;
    let mut findings = Vec::with_capacity(CHECKS.len());
    for Check { invariant, meaning, query } in CHECKS {
        let rows: Vec<(String, String)> = sqlx::query_as(query).bind(SHOWN).fetch_all(&mut *snapshot).await?;
        let violations = rows.into_iter().map(|(subject, detail)| Violation { subject, detail }).collect();
        findings.push(Finding { invariant, meaning, violations });
    }
    snapshot.commit().await?;
    Ok(findings)
}
