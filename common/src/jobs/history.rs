//! What came of attempts lately, of all jobs: charges one by one, and the refunds that are done.

use std::time::Duration;

use serde::Serialize;
use sqlx::{PgPool, Postgres, QueryBuilder};

use super::list::ListError;
use super::{ChargePayment, RefundPayment, Task};
use crate::id::{OrderId, PaymentId};
use crate::pagination::Direction;
use crate::pagination::cursor::{Cursor, Kind, Position, Scope, Value};
use crate::time::{self, Timestamp};

/// Which attempts are meant: those to which all of this applies.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HistoryFilter {
    /// Only of jobs that do this.
    pub task: Option<Task>,
    /// Only with this outcome: `approved`, `declined`, `transient`, `unknown`, `voided` or `refunded`.
    pub outcome: Option<String>,
    /// Only with this code.
    pub code: Option<String>,
    /// Only of this order.
    pub order: Option<OrderId>,
    /// Only so long ago at most.
    pub since: Option<Duration>,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastAttempt {
    /// When it was settled.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What was tried.
    pub kind: String,
    /// For which order.
    pub order_id: OrderId,
    /// Of which payment.
    pub payment_id: PaymentId,
    /// The number of the claim; of a refund only the end is recorded.
    pub claim: Option<i32>,
    /// What the gateway said.
    pub outcome: String,
    /// Why.
    pub code: Option<String>,
    /// The key that was charged, or given back.
    pub charge_key: String,
}

/// A page of attempts, newest first: so many at most, behind the cursor of the page before. Gives the cursor of the
/// next page, if there is one.
///
/// # Errors
/// See [`ListError`].
pub async fn list(
    pool: &PgPool,
    filter: &HistoryFilter,
    take: u32,
    after: Option<&str>,
) -> Result<(Vec<PastAttempt>, Option<Cursor>), ListError> {
    let scope = Scope::of("history", (), Direction::Descending, filter);
    let after = after.map(|cursor| Cursor::read(cursor, scope, Kind::Time)).transpose()?;
    let mut query = QueryBuilder::new("SELECT * FROM ((");
    push_charges(&mut query, filter, after.as_ref(), take);
    query.push(") UNION ALL (");
    push_refunds(&mut query, filter, after.as_ref(), take);
    query.push(")) h ORDER BY at DESC, payment_id DESC LIMIT ").push_bind(i64::from(take) + 1);
    let mut attempts: Vec<PastAttempt> = query.build_query_as().fetch_all(pool).await?;
    let more = attempts.len() > take as usize;
    attempts.truncate(take as usize);
    let last = attempts.last().filter(|_| more);
    let next = last.map(|last| Cursor::new(scope, Position { value: Value::Time(last.at), id: last.payment_id.0 }));
    Ok((attempts, next))
}

/// By `payment_attempts_by_created_at`; those of an order by their primary key.
fn push_charges(query: &mut QueryBuilder<Postgres>, filter: &HistoryFilter, after: Option<&Position>, take: u32) {
    let HistoryFilter { task, outcome, code, order, since } = filter;
    query.push("SELECT a.created_at AS at, ").push_bind(ChargePayment::KIND).push(
        " AS kind, p.order_id, a.payment_id, a.claim, a.outcome, a.code, a.charge_key
         FROM payment_attempts a JOIN payments p ON p.id = a.payment_id WHERE true",
    );
    if task.is_some_and(|task| task != Task::Charge) {
        query.push(" AND false");
    }
    if let Some(outcome) = outcome {
        query.push(" AND a.outcome = ").push_bind(outcome.clone());
    }
    if let Some(code) = code {
        query.push(" AND a.code = ").push_bind(code.clone());
    }
    if let Some(order) = order {
        query.push(" AND p.order_id = ").push_bind(*order);
    }
    push_page(query, "a.created_at", "a.payment_id", *since, after, take);
}

/// By `refunds_done`; that of an order by its primary key.
fn push_refunds(query: &mut QueryBuilder<Postgres>, filter: &HistoryFilter, after: Option<&Position>, take: u32) {
    let HistoryFilter { task, outcome, code, order, since } = filter;
    query.push("SELECT r.refunded_at AS at, ").push_bind(RefundPayment::KIND).push(
        " AS kind, r.order_id, r.payment_id, NULL::integer, 'refunded', NULL, p.id || ':' || p.charge_no
         FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.refunded_at IS NOT NULL",
    );
    let others = outcome.as_deref().is_some_and(|outcome| outcome != "refunded") || code.is_some();
    if others || task.is_some_and(|task| task != Task::Refund) {
        query.push(" AND false");
    }
    if let Some(order) = order {
        query.push(" AND r.order_id = ").push_bind(*order);
    }
    push_page(query, "r.refunded_at", "r.payment_id", *since, after, take);
}

fn push_page(
    query: &mut QueryBuilder<Postgres>,
    at: &str,
    id: &str,
    since: Option<Duration>,
    after: Option<&Position>,
    take: u32,
) {
    if let Some(since) = since {
        query.push(format_args!(" AND {at} > now() - interval '1 second' * ")).push_bind(since.as_secs_f64());
    }
    if let Some(Position { value: Value::Time(time), id: last }) = after {
        query.push(format_args!(" AND ({at}, {id}) < (")).push_bind(*time);
        query.push(", ").push_bind(*last).push(")");
    }
    query.push(format_args!(" ORDER BY {at} DESC, {id} DESC LIMIT ")).push_bind(i64::from(take) + 1);
}
