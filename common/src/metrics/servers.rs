//! The servers as a daemon sees them: its pool, and whether PostgreSQL and Redis answer.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::time::sleep;

use super::Exporter;
use crate::health::{self, Own};
use crate::redis::Redis;

/// How often both servers are asked.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Has the pool looked at whenever somebody reads the metrics.
pub fn show_pool(exporter: &Exporter, pool: &PgPool) {
    let pool = pool.clone();
    exporter.look(move || {
        let (open, idle) = (f64::from(pool.size()), pool.num_idle() as f64);
        metrics::gauge!("shop_db_pool_connections", "state" => "idle").set(idle);
        // The two are read one after the other.
        metrics::gauge!("shop_db_pool_connections", "state" => "used").set((open - idle).max(0.0));
        metrics::gauge!("shop_db_pool_max_connections").set(pool.options().get_max_connections());
    });
}

/// Looks for ever whether this daemon is ready; drop it to stop. How long a look waits for a connection of the pool is
/// what a request would have waited at that moment: the pool itself does not tell.
pub async fn watch(pool: PgPool, redis: Redis, own: impl Fn() -> Own) {
    loop {
        let (readiness, ()) = tokio::join!(health::check(&pool, &redis, own()), measure_pool(&pool));
        metrics::gauge!("shop_ready").set(u8::from(readiness.can_serve()));
        metrics::gauge!("shop_postgres_up").set(u8::from(readiness.postgres.is_ok()));
        metrics::gauge!("shop_redis_up").set(u8::from(readiness.redis.is_ok()));
        sleep(LOOK_EVERY).await;
    }
}

/// In a task that nobody cancels, as everything that uses a connection.
async fn measure_pool(pool: &PgPool) {
    let pool = pool.clone();
    let measuring = tokio::spawn(async move {
        let begun = Instant::now();
        let acquired = pool.acquire().await;
        metrics::histogram!("shop_db_pool_acquire_duration_seconds").record(begun.elapsed());
        if acquired.is_err() {
            metrics::counter!("shop_db_pool_acquire_failures_total").increment(1);
        }
    });
    // It ends when the pool gives up.
    let _ = measuring.await;
}
