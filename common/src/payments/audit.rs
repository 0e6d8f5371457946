//! Audits of the gateway's ledger: who asked for one, who does it, and what it found.
//!
//! Only a worker can ask the gateway, so everybody else asks for an audit here and
//! reads here what came of it.

use std::time::Duration;

use serde::Serialize;
use sqlx::PgPool;

use super::{ChargeKey, PaymentStatus};
use crate::id::{AuditId, BootId, PaymentId};
use crate::money::Money;
use crate::time::{self, Timestamp};

/// Who asks for the audits that come by themselves.
const SCHEDULE: &str = "schedule";
/// An audit that has not moved for so long is taken over, even if its worker is alive.
const STUCK: Duration = Duration::from_secs(600);

/// The error of an audit that came to no end because the gateway is away.
pub const GATEWAY_AWAY: &str = "the gateway does not answer";

/// An audit, and how far it is.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// Which one.
    pub id: AuditId,
    /// Who asked for it first.
    pub requested_by: String,
    /// When.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub requested_at: Timestamp,
    /// When a worker began with it, or took it over.
    #[serde(serialize_with = "time::optional_millis")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it was over.
    #[serde(serialize_with = "time::optional_millis")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// Charges that were compared.
    pub charges: i64,
    /// Why it did not get to its end.
    pub error: Option<String>,
}

/// What is wrong with a charge or a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[schema(as = AuditFindingKind)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Kind {
    /// Captured, and no order of the shop is paid with it or ever will be.
    Forgotten,
    /// Captured beside the charge that the order is paid with.
    Double,
    /// The order is paid, says the shop, but the gateway has no such charge.
    Missing,
    /// Captured with another amount than the order's.
    Amount,
}

impl Kind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forgotten => "forgotten",
            Self::Double => "double",
            Self::Missing => "missing",
            Self::Amount => "amount",
        }
    }
}

/// What was done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[schema(as = AuditAction)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Action {
    /// The gateway is being asked to give the money back.
    Refunding,
    /// The money goes back.
    Refunded,
    /// Nothing: somebody must look at it.
    Reported,
}

impl Action {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
            Self::Reported => "reported",
        }
    }
}

/// A difference between the two books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[schema(as = AuditFinding)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The key of the charge.
    pub charge_key: ChargeKey,
    /// The payment, as the gateway calls it.
    pub payment_id: String,
    /// How much.
    #[sqlx(rename = "amount_minor")]
    pub amount: Money,
    /// What is wrong.
    #[sqlx(rename = "finding")]
    pub kind: Kind,
    /// What was done about it.
    pub action: Action,
}

/// What an audit needs to know of a payment.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct BookedPayment {
    /// Which one.
    pub id: PaymentId,
    /// How far it is.
    pub status: PaymentStatus,
    /// The number of its last charge.
    pub charge_no: i32,
    /// What the gateway calls the charge that paid it.
    pub reference: Option<String>,
    /// How much.
    #[sqlx(rename = "amount_minor")]
    pub amount: Money,
}

impl BookedPayment {
    /// The key of its last charge.
    pub fn key(&self) -> ChargeKey {
        ChargeKey::new(self.id, self.charge_no)
    }
}

/// Asks for an audit that begins after this. Those who ask while one waits share it.
///
/// # Errors
/// When the database refuses.
pub async fn request(pool: &PgPool, by: &str) -> Result<AuditId, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO gateway_audits (id, requested_by) VALUES ($1, $2)
         ON CONFLICT ((true)) WHERE boot_id IS NULL DO UPDATE SET requested_at = gateway_audits.requested_at
         RETURNING id",
    )
    .bind(AuditId::new())
    .bind(by)
    .fetch_one(pool)
    .await
}

/// Asks for an audit when none is open and the last one is so long ago; one that failed counts a
/// sixtieth of that, unless it has reported something that a person must look at. Says whether it did.
///
/// # Errors
/// When the database refuses.
pub async fn request_if_due(pool: &PgPool, every: Duration) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO gateway_audits (id, requested_by)
         SELECT $1, $2 WHERE NOT EXISTS (
             SELECT FROM gateway_audits a
             WHERE finished_at IS NULL OR finished_at > now() - $3 / 60 * interval '1 second'
                OR finished_at > now() - $3 * interval '1 second' AND (error IS NULL OR EXISTS (
                    SELECT FROM gateway_audit_findings f WHERE f.audit_id = a.id AND f.action = 'reported')))
         ON CONFLICT DO NOTHING",
    )
    .bind(AuditId::new())
    .bind(SCHEDULE)
    .bind(every.as_secs_f64())
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes the audit that waits, unless one is being done; or the one whose worker is silent
/// for a lease, was stuck with it, or is this one itself and lost it.
///
/// # Errors
/// When the database refuses.
pub async fn take(pool: &PgPool, boot: BootId, lease: Duration) -> Result<Option<AuditId>, sqlx::Error> {
    sqlx::query_scalar(
        "UPDATE gateway_audits SET boot_id = $1, started_at = now(), heartbeat_at = now(), charges = 0
         WHERE id = (
             SELECT a.id FROM gateway_audits a
             WHERE a.finished_at IS NULL
               AND CASE WHEN a.boot_id IS NULL
                   THEN NOT EXISTS (SELECT FROM gateway_audits b WHERE b.boot_id IS NOT NULL AND b.finished_at IS NULL)
                   ELSE a.boot_id = $1 OR a.heartbeat_at < now() - $2 * interval '1 second' OR NOT EXISTS (
                       SELECT FROM workers w
                       WHERE w.boot_id = a.boot_id AND w.heartbeat_at > now() - $3 * interval '1 second') END
             ORDER BY a.boot_id IS NULL LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
         RETURNING id",
    )
    .bind(boot)
    .bind(STUCK.as_secs_f64())
    .bind(lease.as_secs_f64())
    .fetch_optional(pool)
    .await
}

/// Says how far an audit is. Gives whether it is still this worker's.
///
/// # Errors
/// When the database refuses.
pub async fn beat(pool: &PgPool, audit: AuditId, boot: BootId, charges: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE gateway_audits SET charges = $3, heartbeat_at = now()
         WHERE id = $1 AND boot_id = $2 AND finished_at IS NULL",
    )
    .bind(audit)
    .bind(boot)
    .bind(charges)
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Ends an audit, if it is still this worker's.
///
/// # Errors
/// When the database refuses; the worker takes it up again.
pub async fn finish(pool: &PgPool, audit: AuditId, boot: BootId, error: Option<&str>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE gateway_audits SET finished_at = now(), error = $3
         WHERE id = $1 AND boot_id = $2 AND finished_at IS NULL",
    )
    .bind(audit)
    .bind(boot)
    .bind(error)
    .execute(pool)
    .await?;
    Ok(())
}

/// Writes a finding down, once for each audit. Gives whether it is new.
///
/// # Errors
/// When the database refuses.
pub async fn record(pool: &PgPool, audit: AuditId, finding: &Finding) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO gateway_audit_findings (audit_id, charge_key, payment_id, amount_minor, finding, action)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(audit)
    .bind(finding.charge_key.as_str())
    .bind(&finding.payment_id)
    .bind(finding.amount)
    .bind(finding.kind)
    .bind(finding.action)
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// How many charges audits have given back, or tried to, within a day.
///
/// # Errors
/// When the database refuses.
pub async fn refunds_lately(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT count(DISTINCT charge_key) FROM gateway_audit_findings
         WHERE action IN ('refunding', 'refunded') AND created_at > now() - interval '24 hours'",
    )
    .fetch_one(pool)
    .await
}

/// Charges whose money the gateway was to give back, but that nobody has heard the end of.
///
/// # Errors
/// When the database refuses.
pub async fn refunding(pool: &PgPool) -> Result<Vec<ChargeKey>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT DISTINCT charge_key FROM gateway_audit_findings WHERE action = 'refunding' ORDER BY charge_key",
    )
    .fetch_all(pool)
    .await
}

/// Writes down what came of the refund of a charge.
///
/// # Errors
/// When the database refuses.
pub async fn refund_ended(pool: &PgPool, key: &ChargeKey, action: Action) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE gateway_audit_findings SET action = $2 WHERE charge_key = $1 AND action = 'refunding'")
        .bind(key.as_str())
        .bind(action)
        .execute(pool)
        .await?;
    Ok(())
}

/// Those payments, as far as the shop knows them.
///
/// # Errors
/// When the database refuses.
pub async fn payments(pool: &PgPool, ids: &[PaymentId]) -> Result<Vec<BookedPayment>, sqlx::Error> {
    sqlx::query_as("SELECT id, status, charge_no, reference, amount_minor FROM payments WHERE id = ANY($1)")
        .bind(ids)
        .fetch_all(pool)
        .await
}

/// Whether somebody has asked for the refund of a payment, done or not. That is written before the gateway is asked.
///
/// # Errors
/// When the database refuses.
pub async fn is_to_be_refunded(pool: &PgPool, payment: PaymentId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM refunds WHERE payment_id = $1)").bind(payment).fetch_one(pool).await
}

/// Payments that were charged, in the order of their ids: those after one and before another, but for some.
///
/// # Errors
/// When the database refuses.
pub async fn completed(
    pool: &PgPool,
    after: Option<PaymentId>,
    before: Option<PaymentId>,
    except: &[PaymentId],
    limit: u32,
) -> Result<Vec<BookedPayment>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, status, charge_no, reference, amount_minor FROM payments
         WHERE status = 'COMPLETED' AND ($1::uuid IS NULL OR id > $1) AND ($2::uuid IS NULL OR id < $2)
           AND id <> ALL($3)
         ORDER BY id LIMIT $4",
    )
    .bind(after)
    .bind(before)
    .bind(except)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
}

/// An audit and what it found, in the order of the keys.
///
/// # Errors
/// When the database refuses.
pub async fn find(pool: &PgPool, audit: AuditId) -> Result<Option<(Audit, Vec<Finding>)>, sqlx::Error> {
    let found: Option<Audit> = sqlx::query_as(
        "SELECT id, requested_by, requested_at, started_at, finished_at, charges, error
         FROM gateway_audits WHERE id = $1",
    )
    .bind(audit)
    .fetch_optional(pool)
    .await?;
    let Some(found) = found else { return Ok(None) };
    let findings = sqlx::query_as(
        "SELECT charge_key, payment_id, amount_minor, finding, action FROM gateway_audit_findings
         WHERE audit_id = $1 ORDER BY charge_key, finding",
    )
    .bind(audit)
    .fetch_all(pool)
    .await?;
    Ok(Some((found, findings)))
}
