//! Placement: an order is accepted, or refused, in one transaction with others.
//!
//! The transaction locks the products in the order of their ids, decides every
//! order of the group by a pure function, and writes stock, orders, items,
//! payments, jobs, keys and events. Only after its commit is anybody answered.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio::time::{Instant, sleep};

use super::batch::{Batch, Terms};
use super::decision::{NewOrder, Placed, Render, Verdict};
use super::idempotency;
use super::shelf::Shelf;
use crate::chaos::{self, Bug};
use crate::config;
use crate::db::{self, CommitError, Locks, TransactionId};
use crate::events::{self, Announcer};
use crate::group::{GroupError, Grouper, Limits};
use crate::id::JobId;
use crate::jobs::queue::Queue;
use crate::money::Currency;
use crate::trace::Span;

/// How long a request with a key that is in flight waits before it looks again.
const KEY_POLL: Duration = Duration::from_millis(50);

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PlaceError {
    /// Too many orders wait already; nothing was done.
    #[error("too many orders are waiting")]
    Overloaded,
    /// The key was used for another order.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// A request with the same key has not ended.
    #[error("a request with the same idempotency key is in flight")]
    KeyInFlight,
    /// The database refused; nothing was done.
    #[error("the order was not placed: {0}")]
    Database(Arc<sqlx::Error>),
    /// The connection broke in the commit and nobody could say what became of it.
    #[error("it is not known whether the order was placed: {0}")]
    Unknown(Arc<sqlx::Error>),
    /// The process is going down.
    #[error("the order got lost")]
    Lost,
}

/// The one door through which orders come in; cheap to clone.
#[derive(Clone)]
pub struct Placement {
    orders: Grouper<NewOrder, Result<Verdict, PlaceError>>,
    key_wait: Duration,
}

#[derive(Clone)]
struct Context {
    pool: PgPool,
    queue: Queue,
    announcer: Announcer,
    terms: Terms,
}

impl Placement {
    /// Opens the door.
    pub fn new(
        pool: PgPool,
        queue: Queue,
        announcer: Announcer,
        currency: Currency,
        settings: &config::Placement,
        render: Render,
    ) -> Self {
        let context = Context { pool, queue, announcer, terms: Terms { currency, render } };
        let limits = Limits {
            queue: settings.queue,
            members: settings.group_orders,
            weight: settings.group_lines,
            lanes: settings.lanes,
            patience: db::PATIENCE,
        };
        let orders = Grouper::spawn(
            limits,
            |order: &NewOrder| order.lines.len(),
            move |orders| {
                let context = context.clone();
                async move { context.place_measured(orders).await }
            },
        );
        Self { orders, key_wait: Duration::from_millis(settings.key_wait_ms) }
    }

    /// How many orders wait for the next group, and how many may.
    pub fn waiting(&self) -> (usize, usize) {
        self.orders.waiting()
    }

    /// Places an order, together with whatever else comes at the same time. When
    /// its key is in flight elsewhere, waits a while for that to end.
    ///
    /// # Errors
    /// See [`PlaceError`]. A refused order is not an error but an answer.
    pub async fn place(&self, order: NewOrder) -> Result<Placed, PlaceError> {
        let give_up = Instant::now() + self.key_wait;
        loop {
            let verdict = self.orders.submit(order.clone()).await.map_err(|error| match error {
                GroupError::Full => PlaceError::Overloaded,
                GroupError::Lost => PlaceError::Lost,
            })??;
            match verdict {
                Verdict::Answered(placed) => return Ok(placed),
                Verdict::KeyReused => return Err(PlaceError::KeyReused),
                Verdict::KeyInFlight if Instant::now() >= give_up => return Err(PlaceError::KeyInFlight),
                Verdict::KeyInFlight => sleep(KEY_POLL).await,
            }
        }
    }
}

impl Context {
    /// Places a group, and measures it.
    async fn place_measured(&self, orders: Vec<NewOrder>) -> Vec<Result<Verdict, PlaceError>> {
        let (begun, count) = (Instant::now(), u32::try_from(orders.len()).unwrap_or(u32::MAX));
        let members: Vec<_> = orders.iter().filter_map(|order| order.trace.as_ref()).collect();
        let span = Span::of_group("place orders", &members);
        let verdicts = self.place_group(orders).await;
        metrics::histogram!("shop_placement_group_orders").record(count);
        metrics::histogram!("shop_placement_group_duration_seconds").record(begun.elapsed());
        span.end(|told| {
            told.number("shop.group.size", i64::from(count));
            if verdicts.iter().any(Result::is_err) {
                told.failed("not_placed");
            }
        });
        verdicts
    }

    /// One transaction for all. If the database finds fault with it, one for each,
    /// so that a bad order fails alone. These hardly wait for locks: a product that somebody
    /// holds must not stop the orders of all others.
    async fn place_group(&self, orders: Vec<NewOrder>) -> Vec<Result<Verdict, PlaceError>> {
        match self.place_together(&orders, Locks::Usual).await {
            Ok(verdicts) => verdicts.into_iter().map(Ok).collect(),
            Err(PlaceError::Database(error)) if orders.len() > 1 && error.as_database_error().is_some() => {
                tracing::warn!(%error, orders = orders.len(), "a group of orders failed, placing them one by one");
                let mut verdicts = Vec::with_capacity(orders.len());
                for order in orders {
                    verdicts.push(
                        self.place_together(&[order], Locks::Briefly)
                            .await
                            .and_then(|mut one| one.pop().ok_or(PlaceError::Lost)),
                    );
                }
                verdicts
            }
            Err(error) => orders.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// One transaction, tried again when it fell victim to a deadlock.
    async fn place_together(&self, orders: &[NewOrder], locks: Locks) -> Result<Vec<Verdict>, PlaceError> {
        for _ in 1..db::DEADLOCK_TRIES {
            match self.transact(orders, locks).await {
                Err(PlaceError::Database(error)) if db::is_deadlock(&error) => {
                    tracing::warn!(%error, orders = orders.len(), "a group of orders met a deadlock, trying again");
                }
                result => return result,
            }
        }
        self.transact(orders, locks).await
    }

    async fn transact(&self, orders: &[NewOrder], locks: Locks) -> Result<Vec<Verdict>, PlaceError> {
        let failed = |error| PlaceError::Database(Arc::new(error));
        let mut transaction = db::begin(&self.pool, locks).await.map_err(failed)?;
        chaos::step("place.begun");
        let (batch, id) = self.decide_and_write(&mut transaction, orders).await.map_err(failed)?;
        if chaos::planted(Bug::EnqueueBeforeCommitOnly)
            && let Err(error) = self.queue.enqueue(&batch.jobs).await
        {
            tracing::warn!(%error, "the jobs got lost");
        }
        if chaos::planted(Bug::AnswerBeforeCommit) {
            let (context, verdicts) = (self.clone(), batch.verdicts.clone());
            tokio::spawn(async move {
                sleep(Duration::from_millis(20)).await;
                context.finish(transaction, id, batch).await
            });
            return Ok(verdicts);
        }
        self.finish(transaction, id, batch).await
    }

    /// Commits, and tells those who wait for news and for work.
    async fn finish(
        &self,
        transaction: Transaction<'static, Postgres>,
        id: TransactionId,
        batch: Batch,
    ) -> Result<Vec<Verdict>, PlaceError> {
        chaos::step("place.before_commit");
        db::commit(&self.pool, transaction, id, &batch).await.map_err(|error| match error {
            CommitError::RolledBack(error) => PlaceError::Database(Arc::new(error)),
            CommitError::Unknown(error) => PlaceError::Unknown(Arc::new(error)),
        })?;
        chaos::step("place.after_commit");
        if chaos::planted(Bug::KeyOutsideTransaction)
            && let Err(error) = self.write_keys(&batch).await
        {
            tracing::warn!(%error, "the keys got lost");
        }
        batch.count();
        self.announcer.announce(&batch.events);
        self.announcer.products.tell(batch.products());
        if !chaos::planted(Bug::EnqueueBeforeCommitOnly) {
            self.enqueue(batch.jobs);
        }
        Ok(batch.verdicts)
    }

    /// The planted bug: the keys come when the orders are there already.
    async fn write_keys(&self, batch: &Batch) -> Result<(), sqlx::Error> {
        sleep(Duration::from_millis(20)).await;
        let mut transaction = db::begin(&self.pool, Locks::Usual).await?;
        let nothing = Shelf::lock(&mut transaction, &[]).await?;
        batch.keys_alone().write(&mut transaction, &nothing).await?;
        transaction.commit().await
    }

    async fn decide_and_write(
        &self,
        connection: &mut PgConnection,
        orders: &[NewOrder],
    ) -> Result<(Batch, TransactionId), sqlx::Error> {
        let keyed: Vec<_> = orders
            .iter()
            .filter_map(|order| Some((order.customer, order.key.as_ref()?, order.fingerprint())))
            .collect();
        let keys = idempotency::look_up(connection, &keyed).await?;
        chaos::step("place.keys_looked_up");
        let mut shelf = Shelf::lock(connection, orders).await?;
        chaos::step("place.products_locked");
        let mut batch = Batch::default();
        let mut keys = keys.into_iter();
        for order in orders {
            let key = order.key.as_ref().and_then(|_| keys.next());
            batch.add(order, key, &mut shelf, &self.terms);
        }
        let id = batch.write(connection, &shelf).await?;
        chaos::step("place.written");
        events::append(connection, &batch.events).await?;
        chaos::step("place.events_appended");
        Ok((batch, id))
    }

    /// Tells the schedule, after the commit and without making anybody wait. What is lost here, reconcile makes good.
    fn enqueue(&self, jobs: Vec<JobId>) {
        if jobs.is_empty() {
            return;
        }
        let queue = self.queue.clone();
        tokio::spawn(async move {
            chaos::step("place.before_enqueue");
            if let Err(error) = queue.enqueue(&jobs).await {
                tracing::warn!(%error, jobs = jobs.len(), "Redis did not take the jobs, the reconciler will");
            }
            chaos::step("place.after_enqueue");
        });
    }
}
