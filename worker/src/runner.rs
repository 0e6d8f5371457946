//! The heart of the worker: claim, charge, settle, acknowledge.

mod attempt;
mod refund;
mod room;
mod settling;

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::join_all;
use shop_common::chaos::{self, Bug};
use shop_common::config::Settings;
use shop_common::db::{self, CommitError};
use shop_common::events::Announcer;
use shop_common::id::BootId;
use shop_common::jobs::ledger::GivenBack;
use shop_common::jobs::queue::{Lease, Queue};
use shop_common::jobs::retry::Backoff;
use shop_common::jobs::workers::Pulse;
use shop_common::jobs::{ChargePayment, Task, Token, ledger, pause};
use shop_common::orders::claim::{self, Claim};
use shop_common::orders::settle::{Settled, Settlement};
use shop_common::payments::Outcome;
use shop_common::payments::next::Policy;
use shop_common::redis::Redis;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::doings::Doings;
use crate::heard::Heard;
use crate::in_hand::InHand;
use crate::payments::gateway::PaymentGateway;
use crate::payments::handler::{self, Limits};
use crate::runner::attempt::{Attempt, Came};
use crate::runner::room::{Place, Places, Room};
use crate::runner::settling::{Settling, hand_in, settling};
use crate::trace;

/// How often to look at the schedule when nobody says that there is something.
const POLL: Duration = Duration::from_millis(250);
/// Claims, or settlements, in one transaction, at most.
const CLAIM: usize = 100;
/// Jobs that the gateway has answered and that are not settled, at most: a transaction's fill in each of two lanes, and as
/// many again that come meanwhile.
const ANSWERED: usize = 4 * CLAIM;
/// Claims at the same time: while one is written down in PostgreSQL, the other asks Redis.
const CLAIMERS: usize = 2;

/// The connections of a worker.
#[derive(Clone)]
pub struct Pools {
    /// For everything.
    pub usual: PgPool,
    /// For claims and settlements, which find all by key: see [`db::pool_by_key`].
    pub by_key: PgPool,
}

impl Pools {
    /// The same for both.
    pub fn same(pool: &PgPool) -> Self {
        Self { usual: pool.clone(), by_key: pool.clone() }
    }
}

/// What a worker does, and what it has in hand.
pub struct Runner {
    pool: PgPool,
    by_key: PgPool,
    queue: Queue,
    announcer: Announcer,
    gateway: Arc<dyn PaymentGateway>,
    settlements: Settling<Settlement>,
    refunds: Settling<shop_common::orders::refund::settle::Settlement>,
    boot: BootId,
    claims: AtomicU64,
    paused: AtomicBool,
    in_hand: InHand,
    heard: Heard,
    doings: Doings,
    room: Room,
    handlers: TaskTracker,
    abandon: CancellationToken,
    backoff: Backoff,
    lease: Duration,
    limits: Limits,
}

/// Why a look at the schedule brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Redis is away.
    #[error("Redis: {0}")]
    Redis(#[from] redis::RedisError),
    /// PostgreSQL is away.
    #[error("PostgreSQL: {0}")]
    Database(#[from] CommitError),
    /// PostgreSQL does not answer.
    #[error("PostgreSQL does not answer")]
    Silent,
}

/// What a look at the schedule brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Jobs that were due.
    pub due: usize,
    /// Of those, jobs that are now ours.
    pub taken: usize,
    /// How long until the next job is due, if any is scheduled.
    pub next_due: Option<Duration>,
}

impl Step {
    /// None was due, or there was no room.
    const NOTHING: Self = Self { due: 0, taken: 0, next_due: None };
}

impl Runner {
    /// A worker that has nothing in hand.
    pub fn new(pools: Pools, redis: Redis, gateway: Arc<dyn PaymentGateway>, settings: &Settings) -> Self {
        let Pools { usual: pool, by_key } = pools;
        let (queue, announcer) = (Queue::new(redis.clone()), Announcer::new(redis));
        let backoff = Backoff {
            base: Duration::from_millis(settings.jobs.base_ms),
            cap: Duration::from_millis(settings.jobs.cap_ms),
        };
        let policy = Policy { backoff, max_attempts: settings.jobs.max_attempts };
        let in_hand = settings.worker.concurrency.max(1) + ANSWERED;
        Self {
            settlements: settling(by_key.clone(), queue.clone(), announcer.clone(), policy, in_hand),
            refunds: refund::settling(by_key.clone(), queue.clone(), announcer.clone(), backoff, in_hand),
            pool,
            by_key,
            queue,
            announcer,
            gateway,
            boot: BootId::new(),
            claims: AtomicU64::new(1),
            paused: AtomicBool::new(false),
            in_hand: InHand::default(),
            heard: Heard::default(),
            doings: Doings::default(),
            room: Room::new(settings.worker.concurrency, ANSWERED),
            handlers: TaskTracker::new(),
            abandon: CancellationToken::new(),
            backoff,
            lease: settings.worker.lease(),
            limits: Limits {
                max_attempts: settings.jobs.max_attempts,
                max_crashes: settings.jobs.max_crashes,
                give_up_after: Duration::from_secs(settings.jobs.give_up_after_seconds),
                gateway_timeout: Duration::from_millis(settings.gateway.timeout_ms),
            },
        }
    }

    /// This life of the worker.
    pub fn boot(&self) -> BootId {
        self.boot
    }

    /// What it has in hand.
    pub fn in_hand(&self) -> &InHand {
        &self.in_hand
    }

    /// When its heartbeat was heard.
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    /// What a heartbeat tells of it.
    pub fn pulse(&self) -> Pulse {
        self.doings.tell(self.in_hand.len())
    }

    /// The database it works on.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The schedule it works on.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The gateway that it charges.
    pub fn gateway(&self) -> &Arc<dyn PaymentGateway> {
        &self.gateway
    }

    /// How long a silent worker keeps its jobs.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Looks whether claiming is paused. The table refuses claims anyway; this is so that nothing is
    /// claimed and put back all the time.
    ///
    /// # Errors
    /// When PostgreSQL is away; then it stays as it was.
    pub async fn look_for_pause(&self) -> Result<(), sqlx::Error> {
        let pause = pause::current(&self.pool).await?;
        metrics::gauge!("shop_jobs_paused").set(u8::from(pause.is_some()));
        match (self.paused.swap(pause.is_some(), Ordering::Relaxed), pause) {
            (false, Some(pause)) => {
                tracing::info!(reason = pause.reason.as_deref().unwrap_or(""), since = %pause.paused_at, "claiming is paused");
            }
            (true, None) => tracing::info!("claiming goes on"),
            _ => {}
        }
        Ok(())
    }

    /// Claims and handles until told to stop; what is in hand then goes on.
    pub async fn run(self: Arc<Self>, wake: Arc<Notify>, stop: CancellationToken) {
        join_all((0..CLAIMERS).map(|_| self.claim_until(&wake, &stop))).await;
    }

    async fn claim_until(self: &Arc<Self>, wake: &Notify, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let places = tokio::select! {
                () = stop.cancelled() => return,
                places = self.room.wait(CLAIM) => places,
            };
            let Some(places) = places else { return };
            let pause = match self.claim(places).await {
                Ok(step) if step.due > 0 => continue,
                Ok(step) => step.next_due.unwrap_or(POLL).min(POLL.mul_f64(rand::random_range(0.8..1.2))),
                Err(error) => {
                    tracing::warn!(%error, "cannot claim, trying again");
                    POLL
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Looks at the schedule once: takes what is due and has room, and starts on it. Nothing while claiming is paused.
    ///
    /// # Errors
    /// When a server is away. What was claimed meanwhile comes back by itself.
    pub async fn step(self: &Arc<Self>) -> Result<Step, StepError> {
        match self.room.take(CLAIM) {
            Some(places) => self.claim(places).await,
            None => Ok(Step::NOTHING),
        }
    }

    /// Takes what is due, one for each place at most.
    async fn claim(self: &Arc<Self>, mut places: Places) -> Result<Step, StepError> {
        if self.paused.load(Ordering::Relaxed) {
            return Ok(Step::NOTHING);
        }
        let limit = places.len();
        let first = self.claims.fetch_add(limit as u64, Ordering::Relaxed);
        let claimed = self.queue.claim(limit, self.lease, self.boot, first).await?;
        let (due, next_due) = (claimed.leases.len(), claimed.next_due);
        places.keep(due);
        if claimed.leases.is_empty() {
            return Ok(Step { due, taken: 0, next_due });
        }
        if chaos::planted(Bug::PopWithoutLease) {
            self.queue.ack(&claimed.leases).await?;
        }
        chaos::step("claim.after_script");
        // In hand before the table says so: what it says is ours and is not in hand, is given back.
        self.in_hand.take(&claimed.leases);
        let runner = Arc::clone(self);
        let leases = claimed.leases.clone();
        let claiming =
            async move { claim::claim(&runner.by_key, &runner.announcer, &leases, runner.boot, runner.lease).await };
        let taken = match db::bounded(claiming).await.ok_or(StepError::Silent).and_then(|taken| Ok(taken?)) {
            Ok(taken) => taken,
            Err(error) => {
                self.in_hand.drop(&claimed.leases);
                let again: Vec<_> = claimed.leases.into_iter().map(|lease| (lease, POLL)).collect();
                self.queue.release(&again).await?;
                return Err(error);
            }
        };
        let ours: HashSet<Token> = taken.iter().map(|claim| claim.lease.token.clone()).collect();
        for claim in taken {
            chaos::step("claim.taken");
            self.start(claim, places.split());
        }
        self.sort_out(claimed.leases.into_iter().filter(|lease| !ours.contains(&lease.token)).collect()).await?;
        Ok(Step { due, taken: ours.len(), next_due })
    }

    /// What was on the schedule but is not ours to do: too early, or done, or in good hands.
    async fn sort_out(&self, rest: Vec<Lease>) -> Result<(), StepError> {
        if rest.is_empty() {
            return Ok(());
        }
        self.in_hand.drop(&rest);
        let sorted = ledger::not_taken(&self.pool, rest).await.map_err(CommitError::RolledBack)?;
        // A job that is due was locked by another worker just then; at once would be a hot loop.
        let early: Vec<_> = sorted.early.into_iter().map(|(lease, wait)| (lease, wait.max(POLL))).collect();
        self.queue.release(&early).await?;
        self.queue.ack(&sorted.ghosts).await?;
        Ok(())
    }

    fn start(self: &Arc<Self>, claim: Claim, mut place: Place) {
        // As in the metrics: what a silent worker had was begun in time.
        if !claim.job.taken_over {
            self.doings.started(Duration::try_from_secs_f64(claim.job.lateness_seconds).unwrap_or_default());
        }
        let attempt = Attempt::begin(&claim);
        let runner = Arc::clone(self);
        let work = async move {
            let abandon = runner.abandon.clone();
            let handling = trace::within(attempt.context().clone(), runner.handle(claim, &mut place));
            let came = tokio::select! {
                came = handling.instrument(attempt.log_span()) => came,
                () = abandon.cancelled() => Came::to_nothing("abandoned"),
            };
            attempt.end(&came);
        };
        self.handlers.spawn(work);
    }

    async fn handle(&self, claim: Claim, place: &mut Place) -> Came {
        match claim.job.task() {
            Some(Task::Charge) => self.charge(claim, place).await,
            Some(Task::Refund) => self.refund(claim, place).await,
            None => {
                // A newer version's job, perhaps: a worker of that version may do it.
                tracing::warn!(kind = claim.job.kind, version = claim.job.version, "not a job for this worker");
                count_attempt("other", "not_known", None);
                self.put_back(&claim, GivenBack::Undone).await;
                Came::to_nothing("not_known")
            }
        }
    }

    async fn charge(&self, claim: Claim, place: &mut Place) -> Came {
        let started = Instant::now();
        let attempt = handler::attempt(&*self.gateway, &claim, self.limits);
        let Ok(outcome) = AssertUnwindSafe(attempt).catch_unwind().await else {
            count_attempt(ChargePayment::KIND, CRASHED, Some(started));
            return self.crashed(&claim).await;
        };
        let elapsed = started.elapsed();
        place.answered();
        let settlement = Settlement {
            lease: claim.lease.clone(),
            key: claim.key.clone(),
            outcome,
            jitter: rand::random_range(0.0..1.0),
        };
        let settled = hand_in(&self.settlements, &settlement).await;
        self.end(&claim, settled).await;
        let outcome = settlement.outcome;
        count_attempt(ChargePayment::KIND, settled.map_or(CRASHED, |_| outcome.name()), Some(started));
        Came {
            outcome: outcome.name(),
            code: outcome.code().map(str::to_owned),
            wrong: settled.is_none() || matches!(outcome, Outcome::Transient { .. } | Outcome::Unknown { .. }),
            gateway: Some(elapsed),
            settled,
        }
    }

    /// The handler died. So often, and the job is poison.
    async fn crashed(&self, claim: &Claim) -> Came {
        tracing::error!(crashes = claim.job.crashes() + 1, "the handler panicked");
        self.put_back(claim, GivenBack::Crashed).await;
        Came::to_nothing(CRASHED)
    }

    /// Lets go of a claim that is settled, or gives it back.
    async fn end(&self, claim: &Claim, settled: Option<Settled>) {
        let Some(settled) = settled else { return self.put_back(claim, GivenBack::Crashed).await };
        self.in_hand.drop(std::slice::from_ref(&claim.lease));
        if settled != Settled::Fenced {
            self.doings.settled();
        }
    }

    /// Gives a job back without an outcome.
    async fn put_back(&self, claim: &Claim, why: GivenBack) {
        let lease = std::slice::from_ref(&claim.lease);
        let delay = self.backoff.delay(claim.job.claims - 1, rand::random_range(0.0..1.0));
        match ledger::release(&self.pool, lease, delay, why).await {
            Ok(()) => {
                if let Err(error) = self.queue.release(&[(claim.lease.clone(), delay)]).await {
                    tracing::warn!(%error, "cannot schedule a job that was put back, the reconciler will");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot put a job back, the next heartbeat will"),
        }
        self.in_hand.drop(lease);
    }

    /// Waits until nothing is in hand.
    pub async fn finish(&self) {
        self.handlers.close();
        self.handlers.wait().await;
    }

    /// Stops what is in hand and gives it back: it is due at once, for any worker. Whatever
    /// was charged meanwhile is found again by its key.
    pub async fn abandon(&self) {
        self.abandon.cancel();
        self.finish().await;
        let leases = self.in_hand.leases();
        if leases.is_empty() {
            return;
        }
        tracing::warn!(jobs = leases.len(), "releasing jobs that did not end in time");
        metrics::counter!("shop_jobs_abandoned_total").increment(leases.len() as u64);
        if let Err(error) = ledger::release(&self.pool, &leases, Duration::ZERO, GivenBack::Undone).await {
            tracing::warn!(%error, "cannot release jobs, they come back when the heartbeat has run out");
        }
        let now: Vec<_> = leases.iter().map(|lease| (lease.clone(), Duration::ZERO)).collect();
        if let Err(error) = self.queue.release(&now).await {
            tracing::warn!(%error, "cannot schedule released jobs, the reconciler will");
        }
        self.in_hand.drop(&leases);
    }
}

/// The outcome of an attempt whose handler died, or whose settlement the database refuses.
const CRASHED: &str = "crashed";

/// Counts an attempt, and how long it took from its start to here.
fn count_attempt(kind: &'static str, outcome: &'static str, started: Option<Instant>) {
    metrics::counter!("shop_job_attempts_total", "kind" => kind, "outcome" => outcome).increment(1);
    if let Some(started) = started {
        metrics::histogram!("shop_job_attempt_duration_seconds", "kind" => kind).record(started.elapsed());
    }
}
