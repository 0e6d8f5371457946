//! Whether a daemon can do its work, and if not, what it lacks.

use std::time::Duration;

use serde::Serialize;
use sqlx::PgPool;
use tokio::time::timeout;

use crate::db;
use crate::redis::Redis;

const PATIENCE: Duration = Duration::from_secs(1);

/// Whether work should come, and how everything is that this daemon leans on.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Readiness {
    /// The whole of it.
    pub status: ReadinessStatus,
    /// PostgreSQL.
    pub postgres: Check,
    /// The tables in it: at least as new as this program.
    pub schema: Check,
    /// Redis. Without it the shop goes on: orders are taken, and charged when it is back.
    pub redis: Check,
    /// This process: not while it drains.
    pub process: Check,
    /// A worker's own sign of life in PostgreSQL; an api gives none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
}

/// Whether work should come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReadinessStatus {
    /// Everything is there.
    Ready,
    /// Redis is away, nothing is lost.
    Degraded,
    /// It cannot serve.
    Unavailable,
    /// It goes down, and does not want any more.
    Draining,
}

/// How one thing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Check {
    /// Whether it is as it should be.
    pub status: CheckStatus,
    /// What is wrong, and what to do; for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// It is.
    Ok,
    /// It is not.
    Failing,
    /// Nobody can say, because something else is away.
    Unknown,
}

/// How a worker's heartbeat is.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// Whether it is younger than a lease.
    #[serde(flatten)]
    pub check: Check,
    /// Seconds since PostgreSQL has heard it; none before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<f64>,
}

impl Check {
    fn ok() -> Self {
        Self { status: CheckStatus::Ok, reason: None }
    }

    fn failing(reason: impl Into<String>) -> Self {
        Self { status: CheckStatus::Failing, reason: Some(reason.into()) }
    }

    fn unknown(reason: impl Into<String>) -> Self {
        Self { status: CheckStatus::Unknown, reason: Some(reason.into()) }
    }

    /// Whether it is as it should be.
    pub fn is_ok(&self) -> bool {
        self.status == CheckStatus::Ok
    }
}

impl Heartbeat {
    /// Of a worker that was heard so long ago, if ever, and is silent after a lease.
    pub fn new(age: Option<Duration>, lease: Duration) -> Self {
        let check = match age {
            None => Check::failing("PostgreSQL has not heard this worker yet; it claims nothing before"),
            Some(age) if age > lease => Check::failing("it is older than a lease: others may take this worker's jobs"),
            Some(_) => Check::ok(),
        };
        Self { check, age_seconds: age.map(|age| age.as_secs_f64()) }
    }
}

/// What a daemon knows of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Own {
    /// Whether it was told to go down.
    pub draining: bool,
    /// A worker's heartbeat.
    pub heartbeat: Option<Heartbeat>,
}

impl Readiness {
    /// Whether work should come: nothing is missing without which it would be refused, or left undone.
    pub fn can_serve(&self) -> bool {
        matches!(self.status, ReadinessStatus::Ready | ReadinessStatus::Degraded)
    }

    fn of(postgres: Check, schema: Check, redis: Check, own: Own) -> Self {
        let Own { draining, heartbeat } = own;
        let needed = postgres.is_ok() && schema.is_ok() && heartbeat.as_ref().is_none_or(|beat| beat.check.is_ok());
        let status = match (draining, needed, redis.is_ok()) {
            (true, _, _) => ReadinessStatus::Draining,
            (false, false, _) => ReadinessStatus::Unavailable,
            (false, true, false) => ReadinessStatus::Degraded,
            (false, true, true) => ReadinessStatus::Ready,
        };
        let process = if draining { Check::failing("it is going down") } else { Check::ok() };
        Self { status, postgres, schema, redis, process, heartbeat }
    }
}

/// Says in the log when Redis may throw jobs away: the schedule would be mended again and again.
pub async fn warn_of_eviction(redis: &Redis) {
    if let Ok(Some(policy)) = redis.eviction_policy().await
        && policy != "noeviction"
    {
        tracing::error!(policy, "Redis may evict the schedule; set its maxmemory-policy to noeviction");
    }
}

/// Asks both servers, for a second at most.
pub async fn check(pool: &PgPool, redis: &Redis, own: Own) -> Readiness {
    let (missing, pong) =
        tokio::join!(timeout(PATIENCE, db::missing_migrations(pool)), timeout(PATIENCE, redis.ping()));
    let (postgres, schema) = match missing {
        Ok(Ok(missing)) => (Check::ok(), schema(&missing)),
        Ok(Err(_)) => (Check::failing("it cannot be reached"), Check::unknown("PostgreSQL is away")),
        Err(_) => (Check::failing("it has not answered within a second"), Check::unknown("PostgreSQL is away")),
    };
    let redis = match pong {
        Ok(Ok(())) => Check::ok(),
        Ok(Err(_)) => Check::failing("it cannot be reached; orders are taken, and charged when it is back"),
        Err(_) => Check::failing("it has not answered within a second; orders are taken, and charged when it is back"),
    };
    Readiness::of(postgres, schema, redis, own)
}

fn schema(missing: &[i64]) -> Check {
    let names: Vec<String> = missing.iter().map(|version| format!("{version:04}")).collect();
    match names.len() {
        0 => Check::ok(),
        1 => Check::failing(format!("migration {} is missing: run `shopctl migrate run`", names[0])),
        _ => Check::failing(format!("migrations {} are missing: run `shopctl migrate run`", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_well(own: Own) -> Readiness {
        Readiness::of(Check::ok(), Check::ok(), Check::ok(), own)
    }

    #[test]
    fn it_serves_without_redis_and_without_nothing_else() {
        let (ok, away, own) = (Check::ok, || Check::failing("away"), Own::default);
        let status = |readiness: Readiness| (readiness.status, readiness.can_serve());
        assert_eq!(status(all_well(own())), (ReadinessStatus::Ready, true));
        assert_eq!(status(Readiness::of(ok(), ok(), away(), own())), (ReadinessStatus::Degraded, true));
        assert_eq!(
            status(Readiness::of(away(), Check::unknown(""), ok(), own())),
            (ReadinessStatus::Unavailable, false)
        );
        assert_eq!(status(Readiness::of(ok(), away(), ok(), own())), (ReadinessStatus::Unavailable, false));
        assert_eq!(status(all_well(Own { draining: true, heartbeat: None })), (ReadinessStatus::Draining, false));
    }

    #[test]
    fn a_worker_serves_from_its_first_heartbeat_until_a_lease_after_its_last() {
        let lease = Duration::from_secs(15);
        let own = |age| Own { draining: false, heartbeat: Some(Heartbeat::new(age, lease)) };
        let serves = |age| all_well(own(age)).can_serve();
        assert!(!serves(None));
        assert!(serves(Some(lease)));
        assert!(!serves(Some(lease + Duration::from_millis(1))));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(schema(&[]), Check::ok());
        let reason = |missing: &[i64]| schema(missing).reason.unwrap();
        assert!(reason(&[9]).contains("migration 0009 is missing"));
        assert!(reason(&[8, 9]).contains("migrations 0008, 0009 are missing"));
    }
}
