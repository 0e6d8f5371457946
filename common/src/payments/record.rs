//! Payments as operators see them: how far each is, what came of every attempt, and what audits found about it.

use serde::Serialize;
use sqlx::{PgPool, Postgres, QueryBuilder};
use utoipa::ToSchema;
use uuid::Uuid;

use super::audit::{Action, Kind as FindingKind};
use super::{ChargeKey, PaymentMethod, PaymentStatus};
use crate::id::{AuditId, OrderId, PaymentId};
use crate::jobs::ledger::{self, AttemptRecord};
use crate::money::{Currency, Money};
use crate::orders::refund::Refund;
use crate::pagination::cursor::{Kind, Position, Value};
use crate::pagination::total::{self, Total};
use crate::pagination::{Column, Page, PageRequest};
use crate::reason::Reason;
use crate::time::{self, Timestamp};

/// The newest findings of audits that are shown: what was reported once is found again by each audit.
const NEWEST_FINDINGS: i64 = 20;

/// The payment of an order.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// Which one.
    pub id: PaymentId,
    /// Of which order.
    pub order_id: OrderId,
    /// How far it is.
    pub status: PaymentStatus,
    /// How much.
    #[sqlx(rename = "amount_minor")]
    pub amount: Money,
    /// In which currency.
    pub currency: Currency,
    /// How it is paid.
    pub method: PaymentMethod,
    /// The number of its last charge: 1, and one more after each decline.
    pub charge_no: i32,
    /// The key of a charge whose end nobody has recorded yet: money may have moved.
    pub open_key: Option<ChargeKey>,
    /// What the gateway calls the charge that paid it.
    pub reference: Option<String>,
    /// Why it was not paid, the last time that it was not.
    pub last_error: Option<String>,
    /// When its order was accepted.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it moved last.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// Which payments are listed: those that pass all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PaymentFilter {
    /// That are so far.
    pub status: Option<PaymentStatus>,
    /// That are paid so.
    pub method: Option<PaymentMethod>,
    /// That of this order.
    pub order: Option<OrderId>,
    /// That were made then or later.
    pub from: Option<Timestamp>,
    /// That were made before then.
    pub to: Option<Timestamp>,
}

impl PaymentFilter {
    /// ` FROM … WHERE …`
    fn push_matches(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(" FROM payments WHERE true");
        if let Some(status) = self.status {
            query.push(" AND status = ").push_bind(status);
        }
        if let Some(method) = &self.method {
            query.push(" AND method = ").push_bind(method.clone());
        }
        if let Some(order) = self.order {
            query.push(" AND order_id = ").push_bind(order);
        }
        if let Some(from) = self.from {
            query.push(" AND created_at >= ").push_bind(from);
        }
        if let Some(to) = self.to {
            query.push(" AND created_at < ").push_bind(to);
        }
    }
}

/// What a list of payments can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum PaymentColumn {
    /// The id, which is the order of making.
    Id,
    /// The time of making.
    CreatedAt,
}

impl Column for PaymentColumn {
    const LIST: &'static str = "payments";
    const ID: &'static str = "id";
    type Row = Payment;

    fn sql(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::CreatedAt => "created_at",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Id => Kind::Id,
            Self::CreatedAt => Kind::Time,
        }
    }

    fn position(self, payment: &Payment) -> Position {
        let value = match self {
            Self::Id => Value::Id,
            Self::CreatedAt => Value::Time(payment.created_at),
        };
        Position { value, id: payment.id.0 }
    }
}

const COLUMNS: &str = "SELECT id, order_id, status, amount_minor, currency, method, charge_no, open_key, reference,
     last_error, created_at, updated_at";

/// A page of payments.
///
/// # Errors
/// When the database refuses.
pub async fn list(
    pool: &PgPool,
    filter: &PaymentFilter,
    page: &PageRequest<PaymentColumn>,
) -> Result<Page<Payment>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let matches = |query: &mut QueryBuilder<Postgres>| filter.push_matches(query);
    let mut query = QueryBuilder::new(COLUMNS);
    matches(&mut query);
    page.push_end(&mut query);
    // With a filter, which plan is best hangs on its values: it is not to be one plan for all of them.
    let is_plain = *filter == PaymentFilter::default();
    let rows: Vec<Payment> = query.build_query_as().persistent(is_plain).fetch_all(&mut *connection).await?;
    let total = match page.whole_list(rows.len()) {
        Some(rows) => Total::exactly(rows),
        None => total::count(&mut connection, matches).await?,
    };
    Ok(page.page(rows, total))
}

/// What an audit has found about a payment.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, ToSchema)]
#[schema(as = PaymentFinding)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Which audit.
    pub audit_id: AuditId,
    /// The key of the charge.
    pub charge_key: ChargeKey,
    /// How much.
    #[sqlx(rename = "amount_minor")]
    pub amount: Money,
    /// What is wrong.
    #[sqlx(rename = "finding")]
    pub kind: FindingKind,
    /// What was done about it.
    pub action: Action,
    /// When it was found.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A refund, and what keeps it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AskedRefund {
    /// The refund.
    #[serde(flatten)]
    pub refund: Refund,
    /// Why it was not done, the last time that it was tried and not done.
    pub last_error: Option<String>,
}

/// A payment, and all that came of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRecord {
    /// The payment.
    #[serde(flatten)]
    pub payment: Payment,
    /// What the gateway said to each attempt, oldest first.
    pub attempts: Vec<AttemptRecord>,
    /// Its refund, if one was asked for.
    pub refund: Option<AskedRefund>,
    /// What audits found about it lately, the newest first.
    pub findings: Vec<Finding>,
}

/// The payment with that id, or of the order with that id.
///
/// # Errors
/// When the database refuses.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<PaymentRecord>, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new(COLUMNS);
    query.push(" FROM payments WHERE id = ").push_bind(id).push(" OR order_id = ").push_bind(id);
    let payment: Option<Payment> = query.build_query_as().fetch_optional(pool).await?;
    let Some(payment) = payment else { return Ok(None) };
    let attempts = ledger::attempts(pool, payment.order_id).await?;
    let refund = refund(pool, payment.id).await?;
    // Audits have the gateway's word for the payment, which may be no id at all.
    let findings = sqlx::query_as(
        "SELECT audit_id, charge_key, amount_minor, finding, action, created_at FROM gateway_audit_findings
         WHERE payment_id = $1 ORDER BY created_at DESC LIMIT $2",
    )
    .bind(payment.id.to_string())
    .bind(NEWEST_FINDINGS)
    .fetch_all(pool)
    .await?;
    Ok(Some(PaymentRecord { payment, attempts, refund, findings }))
}

async fn refund(pool: &PgPool, payment: PaymentId) -> Result<Option<AskedRefund>, sqlx::Error> {
    #[derive(sqlx::FromRow)]
    struct Row {
        restock: bool,
        reason: Option<Reason>,
        requested_at: Timestamp,
        refunded_at: Option<Timestamp>,
        last_error: Option<String>,
    }
    let row: Option<Row> = sqlx::query_as(
        "SELECT restock, reason, requested_at, refunded_at, last_error FROM refunds WHERE payment_id = $1",
    )
    .bind(payment)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| AskedRefund {
        refund: Refund::new(row.restock, row.reason, row.requested_at, row.refunded_at),
        last_error: row.last_error,
    }))
}
