//! The feed: changes at an even rate, told the way that each target hears of them.

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::json;
use shop_common::events::{self, Announcer, EventKind, NewEvent};
use shop_common::redis::Connection;
use sqlx::PgPool;
use tokio::time::interval;

use crate::books::Customer;

/// Changes that fall due within a tick are told at once.
const TICKS_PER_SECOND: usize = 100;
const TICK: Duration = Duration::from_millis(10);

/// How a change is told.
pub(crate) enum Way {
    /// As the shop does: written as an event, committed, announced.
    Shop { pool: PgPool, announcer: Announcer },
    /// Published whole, with what is known of each customer's order.
    Rival { connection: Connection, channel: String, payloads: Vec<String> },
}

/// Changes of the customers' orders.
pub(crate) struct Feed {
    way: Way,
    customers: Vec<Customer>,
    /// When each customer's changes were told; the first one has the number 1.
    told: Vec<Vec<Instant>>,
    /// Whose turn it is: all once, in random order, then all again in another.
    turn: Vec<usize>,
    rng: StdRng,
}

/// A stretch of the feed.
pub(crate) struct Stretch {
    pub(crate) begun: Instant,
    pub(crate) took: Duration,
    pub(crate) changes: usize,
}

impl Feed {
    /// A feed that has told nothing. The same seed gives the same order of customers.
    pub(crate) fn new(way: Way, customers: &[Customer], seed: u64) -> Self {
        Self {
            way,
            customers: customers.to_vec(),
            told: vec![Vec::new(); customers.len()],
            turn: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// Changes that were told in all.
    pub(crate) fn changes(&self) -> usize {
        self.told.iter().map(Vec::len).sum()
    }

    /// When each customer's changes were told.
    pub(crate) fn told(&self) -> &[Vec<Instant>] {
        &self.told
    }

    /// Tells so many changes per second for so long. Ticks that it is late for are made up for.
    pub(crate) async fn run(&mut self, rate: usize, seconds: usize) -> anyhow::Result<Stretch> {
        let (begun, changes) = (Instant::now(), rate * seconds);
        let mut ticks = interval(TICK);
        let (mut tick, mut told) = (0, 0);
        while told < changes {
            ticks.tick().await;
            tick += 1;
            let due = (rate * tick / TICKS_PER_SECOND).min(changes) - told;
            if due > 0 {
                let batch = self.draw(due);
                self.tell(&batch).await?;
                told += due;
            }
        }
        Ok(Stretch { begun, took: begun.elapsed(), changes })
    }

    fn draw(&mut self, count: usize) -> Vec<usize> {
        let mut batch = Vec::with_capacity(count);
        while batch.len() < count {
            if self.turn.is_empty() {
                self.turn = (0..self.customers.len()).collect();
                self.turn.shuffle(&mut self.rng);
            }
            batch.extend(self.turn.pop());
        }
        batch
    }

    async fn tell(&mut self, batch: &[usize]) -> anyhow::Result<()> {
        match &mut self.way {
            Way::Shop { pool, announcer } => {
                let change = |at: &usize| NewEvent {
                    user_id: self.customers[*at].user,
                    order_id: self.customers[*at].order,
                    kind: EventKind::OrderStatus,
                    data: json!({ "status": "PROCESSING" }),
                };
                let changes: Vec<NewEvent> = batch.iter().map(change).collect();
                let mut transaction = pool.begin().await?;
                events::append(&mut transaction, &changes).await?;
                transaction.commit().await?;
                let now = Instant::now();
                batch.iter().for_each(|at| self.told[*at].push(now));
                announcer.announce(&changes);
            }
            Way::Rival { connection, channel, payloads } => {
                let mut publish = redis::pipe();
                let now = Instant::now();
                for at in batch {
                    self.told[*at].push(now);
                    let (user, seq, data) = (self.customers[*at].user, self.told[*at].len(), &payloads[*at]);
                    let message = format!(r#"{{"user":"{user}","seq":{seq},"data":{data}}}"#);
                    publish.cmd("PUBLISH").arg(channel.as_str()).arg(message).ignore();
                }
                publish.exec_async(connection).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shop_common::id::{OrderId, UserId};

    use super::*;

    #[tokio::test]
    async fn everybody_has_a_turn_before_anybody_has_another_and_a_seed_repeats_it() {
        let customers: Vec<_> = (0..50).map(|_| Customer { user: UserId::new(), order: OrderId::new() }).collect();
        let pool = PgPool::connect_lazy("postgres://localhost/none").unwrap();
        let feed = |seed| {
            let settings =
                shop_common::config::Redis { url: "redis://localhost".into(), prefix: String::new(), timeout_ms: 1 };
            let announcer = Announcer::new(shop_common::redis::Redis::connect(&settings).unwrap());
            Feed::new(Way::Shop { pool: pool.clone(), announcer }, &customers, seed)
        };
        let (mut one, mut same, mut other) = (feed(1), feed(1), feed(2));

        let drawn: Vec<usize> = (0..10).flat_map(|_| one.draw(10)).collect();

        let mut first = drawn[..50].to_vec();
        first.sort_unstable();
        assert_eq!(first, (0..50).collect::<Vec<_>>());
        assert_eq!(same.draw(100), drawn);
        assert_ne!(other.draw(100), drawn);
    }
}
