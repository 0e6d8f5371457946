//! What every worker does besides its jobs: heartbeat, reaping, reconciling, looking for a pause, forgetting what is old.

use std::sync::Arc;
use std::time::Duration;

use shop_common::jobs::queue::WAKE;
use shop_common::jobs::{ledger, reconcile, workers};
use shop_common::orders::idempotency;
use shop_common::redis::Redis;
use shop_common::users::{sessions, tickets};
use shop_common::{config, db, events};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::runner::Runner;

/// How often the schedule is looked after.
const ROUND: Duration = Duration::from_secs(1);

/// How often what is old is forgotten, and how many rows in one statement.
const FORGET_EVERY: Duration = Duration::from_secs(60);
const FORGET_AT_ONCE: u32 = 5000;

/// The upkeep of one worker.
pub struct Upkeep {
    runner: Arc<Runner>,
    redis: Redis,
    stop: CancellationToken,
    host: String,
    /// How long events are kept.
    retention: Duration,
}

impl Upkeep {
    /// The upkeep of that worker, until told to stop.
    pub fn new(runner: Arc<Runner>, redis: Redis, live: &config::Live, stop: CancellationToken) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "unknown".to_owned());
        let retention = Duration::from_secs(live.retention_seconds);
        Self { runner, redis, stop, host: host.trim().to_owned(), retention }
    }

    /// Beats until the first beat is heard: a worker without one would lose its claims to the next that looks.
    pub async fn until_alive(&self) {
        while let Err(error) = self.beat().await {
            tracing::warn!(%error, "not claiming before PostgreSQL has heard a heartbeat");
            if self.paused(ROUND).await {
                return;
            }
        }
    }

    /// Runs until told to stop, then says goodbye.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.listen(), self.heartbeat(), self.look_after_schedule(), self.forget_what_is_old());
        if let Err(error) = workers::leave(self.runner.pool(), self.runner.boot()).await {
            tracing::warn!(%error, "cannot say goodbye, the heartbeat will run out");
        }
    }

    /// Subscribes to wake-ups; after that the connection renews the subscription itself.
    async fn listen(&self) {
        while self.redis.subscribe(WAKE).await.is_err() {
            if self.paused(ROUND).await {
                return;
            }
        }
    }

    async fn heartbeat(self: &Arc<Self>) {
        loop {
            let upkeep = Arc::clone(self);
            match db::bounded(async move { upkeep.beat().await }).await {
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::warn!(%error, "no heartbeat"),
                None => tracing::warn!("no heartbeat: PostgreSQL does not answer"),
            }
            if self.paused(self.runner.lease() / 3).await {
                return;
            }
        }
    }

    /// One heartbeat: alive, the leases prolonged, and nothing ours that is not in hand.
    ///
    /// # Errors
    /// When PostgreSQL is away.
    pub async fn beat(&self) -> Result<(), sqlx::Error> {
        let (pool, boot, lease) = (self.runner.pool(), self.runner.boot(), self.runner.lease());
        let sent = Instant::now();
        workers::beat(pool, boot, &self.host, &self.runner.pulse()).await?;
        self.runner.heard().note(sent);
        let lost = ledger::disown(pool, boot, &self.runner.in_hand().leases(), lease / 3).await?;
        if lost > 0 {
            tracing::warn!(jobs = lost, "gave back jobs whose claim got lost");
            metrics::counter!("shop_jobs_disowned_total").increment(lost);
        }
        workers::forget_silent(pool, lease).await?;
        if let Err(error) = self.runner.queue().extend(&self.runner.in_hand().leases(), lease).await {
            tracing::warn!(%error, "cannot prolong leases");
        }
        Ok(())
    }

    async fn look_after_schedule(&self) {
        loop {
            let runner = Arc::clone(&self.runner);
            match db::bounded(async move { runner.look_for_pause().await }).await {
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::warn!(%error, "cannot look for a pause"),
                None => tracing::warn!("cannot look for a pause: PostgreSQL does not answer"),
            }
            let (pool, queue, lease) = (self.runner.pool(), self.runner.queue(), self.runner.lease());
            match queue.reap().await {
                Ok(0) => {}
                Ok(jobs) => {
                    tracing::warn!(jobs, "leases had run out, their jobs are due again");
                    metrics::counter!("shop_jobs_reaped_total").increment(jobs as u64);
                }
                Err(error) => tracing::warn!(%error, "cannot reap"),
            }
            let (pool, queue) = (pool.clone(), queue.clone());
            match db::bounded(async move { reconcile::reconcile(&pool, &queue, lease).await }).await {
                Some(Ok(0)) => {}
                Some(Ok(jobs)) => {
                    tracing::warn!(jobs, "the schedule had lost jobs, they are due again");
                    metrics::counter!("shop_jobs_reconciled_total").increment(jobs as u64);
                }
                Some(Err(error)) => tracing::warn!(%error, "cannot reconcile"),
                None => tracing::warn!("cannot reconcile: a server does not answer"),
            }
            if self.paused(ROUND.mul_f64(rand::random_range(0.8..1.2))).await {
                return;
            }
        }
    }

    async fn forget_what_is_old(self: &Arc<Self>) {
        // Workers that start together need not all forget together.
        while !self.paused(FORGET_EVERY.mul_f64(rand::random_range(0.5..1.5))).await {
            let upkeep = Arc::clone(self);
            match db::bounded(async move { upkeep.forget().await }).await {
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::warn!(%error, "cannot forget what is old"),
                None => tracing::warn!("cannot forget what is old: PostgreSQL does not answer"),
            }
        }
    }

    /// Forgets tickets that nobody took, sessions that have expired, events that are older than their retention, and
    /// idempotency keys after a day.
    ///
    /// # Errors
    /// When PostgreSQL is away.
    pub async fn forget(&self) -> Result<(), sqlx::Error> {
        let pool = self.runner.pool();
        tickets::forget(pool).await?;
        while sessions::forget(pool, FORGET_AT_ONCE).await? == u64::from(FORGET_AT_ONCE) {}
        while events::forget(pool, self.retention, FORGET_AT_ONCE).await? == u64::from(FORGET_AT_ONCE) {}
        while idempotency::forget(pool, FORGET_AT_ONCE).await? == u64::from(FORGET_AT_ONCE) {}
        Ok(())
    }

    /// Waits; says whether it is over.
    async fn paused(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => true,
            () = sleep(time) => false,
        }
    }
}
