//! Dead jobs that need an operator.
//!
//! Most dead jobs are a normal end: the payment was declined or voided and the order has
//! failed. One whose order is still open has stopped in the middle, and so has one whose refund is not done.

use sqlx::{PgExecutor, QueryBuilder};

/// The orders `o` that are open or to be refunded and have no live job, each with the job `j` that died last of those
/// that do this. There are few of them among very many dead jobs.
pub(super) const NEEDS_OPERATOR: &str = "(
         SELECT id, false AS is_refund FROM orders WHERE status IN ('PENDING', 'PROCESSING')
         UNION ALL SELECT order_id, true FROM refunds WHERE refunded_at IS NULL
     ) unfinished JOIN orders o USING (id) CROSS JOIN LATERAL (
         SELECT * FROM jobs
         WHERE order_id = o.id AND state = 'dead' AND (kind = 'refund_payment') = unfinished.is_refund
         ORDER BY id DESC LIMIT 1
     ) j
     WHERE NOT EXISTS (
         SELECT FROM jobs live WHERE live.order_id = o.id AND live.state IN ('scheduled', 'running'))";

/// Whether a job `j` of an order `o` has not done its duty yet.
pub(super) const UNFINISHED: &str = "CASE j.kind
         WHEN 'refund_payment' THEN EXISTS (
             SELECT FROM refunds r WHERE r.order_id = o.id AND r.refunded_at IS NULL)
         ELSE o.status IN ('PENDING', 'PROCESSING') END";

/// How many need an operator, of each kind that has any. It costs what is open, however many are dead.
///
/// # Errors
/// When the database refuses.
pub async fn count_needing_operator(executor: impl PgExecutor<'_>) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let mut query = QueryBuilder::new("SELECT j.kind, count(*) FROM ");
    query.push(NEEDS_OPERATOR).push(" GROUP BY j.kind");
    query.build_query_as().fetch_all(executor).await
}
