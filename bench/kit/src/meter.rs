//! Processor time of the servers that are measured.

use std::time::Duration;

use anyhow::Context;
use shop_common::redis::Connection;
use sqlx::PgPool;

use crate::process::{cpu, family, stat};

/// Reads the processor time of the server, of PostgreSQL and of Redis.
pub struct Meter {
    server: u32,
    postmaster: Option<u32>,
    redis: Connection,
}

/// Processor time so far, or between two readings.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// The server.
    pub server: Duration,
    /// All its processes; not known if it does not run here.
    pub postgres: Option<Duration>,
    /// Redis.
    pub redis: Duration,
}

impl Meter {
    /// A meter of that server, and of the other two behind these connections.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub async fn new(server: u32, pool: &PgPool, redis: Connection) -> anyhow::Result<Self> {
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(pool).await?;
        let backend = stat(u32::try_from(backend)?).filter(|stat| stat.name.starts_with("postgres"));
        Ok(Self { server, postmaster: backend.map(|stat| stat.parent), redis })
    }

    /// All three now.
    ///
    /// # Errors
    /// When the server has ended, or Redis cannot be asked.
    pub async fn read(&mut self) -> anyhow::Result<Spent> {
        let postgres = self.postmaster.and_then(family);
        let info: String = redis::cmd("INFO").arg("cpu").query_async(&mut self.redis).await?;
        let seconds = |name: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            value.trim().parse::<f64>().ok()
        };
        let redis = seconds("used_cpu_user").zip(seconds("used_cpu_sys")).context("Redis does not count its time")?;
        Ok(Spent { server: cpu(self.server)?, postgres, redis: Duration::from_secs_f64(redis.0 + redis.1) })
    }
}

impl Spent {
    /// What was spent since an earlier reading.
    pub fn since(self, earlier: Self) -> Self {
        let postgres = self.postgres.zip(earlier.postgres).map(|(now, then)| now.saturating_sub(then));
        Self {
            server: self.server.saturating_sub(earlier.server),
            postgres,
            redis: self.redis.saturating_sub(earlier.redis),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_is_the_difference() {
        let spent =
            |ms, postgres| Spent { server: Duration::from_millis(ms), postgres, redis: Duration::from_millis(2 * ms) };
        let between = spent(30, Some(Duration::from_millis(9))).since(spent(10, Some(Duration::from_millis(4))));
        assert_eq!((between.server.as_millis(), between.redis.as_millis()), (20, 40));
        assert_eq!(between.postgres, Some(Duration::from_millis(5)));
        assert_eq!(spent(30, None).since(spent(10, Some(Duration::ZERO))).postgres, None);
    }
}
