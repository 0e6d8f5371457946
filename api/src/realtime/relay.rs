//! The relay: one subscription per process, from Redis to the hub.

use std::collections::HashMap;
use std::time::Duration;

use rocket::fairing::AdHoc;
use rocket_db_pools::Database;
use shop_common::config;
use shop_common::events::{self, NEWS};
use shop_common::id::UserId;
use shop_common::redis::Redis;
use sqlx::PgPool;
use tokio::time::timeout;

use super::hub::Hub;
use crate::db::Db;

/// How often the table is looked at for connected users: what Redis has lost is late by so much.
const LOOK: Duration = Duration::from_secs(1);

/// Starts the relay with the server, and ends it with it.
pub(crate) fn fairing(settings: config::Redis) -> AdHoc {
    AdHoc::on_liftoff("Relay", |rocket| {
        Box::pin(async move {
            let (Some(hub), Some(db)) = (rocket.state::<Hub>(), Db::fetch(rocket)) else { return };
            let heard = hub.clone();
            match Redis::connect_listening(&settings, move |message| heard.wake(events::announced(message))) {
                Ok(redis) => {
                    let (hub, pool, mut shutdown) = (hub.clone(), db.pool().clone(), rocket.shutdown());
                    tokio::spawn(async move {
                        let mut relay = Relay { hub, pool, redis, subscribed: false, seen: HashMap::new() };
                        while timeout(LOOK, &mut shutdown).await.is_err() {
                            relay.look().await;
                        }
                    });
                }
                Err(error) => tracing::error!(%error, "no relay, live status is late by a second"),
            }
        })
    })
}

struct Relay {
    hub: Hub,
    pool: PgPool,
    redis: Redis,
    subscribed: bool,
    seen: HashMap<UserId, i64>,
}

impl Relay {
    /// Subscribes if that has not succeeded yet, and wakes users whose last number has moved since the last look.
    async fn look(&mut self) {
        // A ping besides: a connection that broke while idle is noticed, and mended with its subscription.
        if !self.subscribed {
            self.subscribed = self.redis.subscribe(NEWS).await.is_ok();
        } else if let Err(error) = self.redis.ping().await {
            tracing::debug!(%error, "Redis is away, live status is late by a second");
        }
        let users = self.hub.users();
        if users.is_empty() {
            self.seen.clear();
            return;
        }
        match events::last_numbers(&self.pool, &users).await {
            Ok(numbers) => {
                let moved = numbers.iter().filter(|(user, last)| self.seen.get(user) != Some(last));
                self.hub.wake(moved.map(|(user, _)| *user));
                self.seen = numbers.into_iter().collect();
            }
            Err(error) => tracing::debug!(%error, "PostgreSQL is away, sockets wait"),
        }
    }
}
