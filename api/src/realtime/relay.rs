//! The relay: one subscription per process, from Redis and the events table to the hub.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use rocket::Shutdown;
use rocket::fairing::AdHoc;
use shop_common::events::{self, NEWS};
use shop_common::id::UserId;
use shop_common::orders::news;
use shop_common::redis::Redis;
use shop_common::time::Timestamp;
use shop_common::{config, db};
use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgConnection, Postgres};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::feed::{Live, PAGE};

/// How often the table is looked at: what Redis has lost is late by so much.
const LOOK: Duration = Duration::from_secs(1);
/// A pause after each read, for each user whose news it brought, so that a busy shop's news are read for many users at
/// once. With fewer than 250 users a second it stays short, with more it grows to the longest.
const BREATH: Duration = Duration::from_millis(4);
const LONGEST_BREATH: Duration = Duration::from_millis(40);
/// What the first look goes back: sockets may have been opened before it succeeded.
const FIRST_LOOK: TimeDelta = TimeDelta::minutes(1);
/// Users whose news are read at once.
const USERS: usize = 500;

/// Starts the relay with the server, and ends it with it.
pub(crate) fn fairing(settings: config::Redis) -> AdHoc {
    AdHoc::on_liftoff("Relay", |rocket| {
        Box::pin(async move {
            let Some(live) = rocket.state::<Live>().cloned() else { return };
            let heard = live.hub.clone();
            match Redis::connect_listening(&settings, move |message| heard.note(events::announced(message))) {
                Ok(redis) => drop(tokio::spawn(listen(redis, rocket.shutdown()))),
                Err(error) => tracing::error!(%error, "not listening, live status is late by a second"),
            }
            tokio::spawn(run(live, rocket.shutdown()));
        })
    })
}

/// Subscribes until that has succeeded, then pings: a connection that broke while idle is
/// noticed, and mended with its subscription.
async fn listen(redis: Redis, mut shutdown: Shutdown) {
    let mut subscribed = false;
    while timeout(LOOK, &mut shutdown).await.is_err() {
        if !subscribed {
            subscribed = redis.subscribe(NEWS).await.is_ok();
        } else if let Err(error) = redis.ping().await {
            tracing::debug!(%error, "Redis is away, live status is late by a second");
        }
    }
}

/// What is to be done.
enum Work {
    /// Read the news of these users after these numbers, and hand them out.
    Read(Vec<(UserId, i64)>),
    /// Note who has events that nobody told of.
    Look,
}

/// Reads the table. It has a connection of its own: one that comes from the pool and goes back costs two round trips more.
struct Reader {
    live: Live,
    connection: Option<PoolConnection<Postgres>>,
    /// Events that began before that were compared with what was handed out.
    compared: Option<Timestamp>,
}

async fn run(live: Live, mut shutdown: Shutdown) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reader = Reader { live: live.clone(), connection: None, compared: None };
    loop {
        let work = tokio::select! {
            () = &mut shutdown => return,
            _ = look.tick() => Work::Look,
            () = live.hub.noted() => Work::Read(live.hub.unread(USERS)),
        };
        let users: Vec<UserId> = match &work {
            Work::Read(positions) => positions.iter().map(|(user, _)| *user).collect(),
            Work::Look => Vec::new(),
        };
        let compared = reader.compared;
        let done = db::bounded(async move {
            let result = reader.work(work).await;
            (reader, result)
        });
        let pause = match done.await {
            Some((back, Ok(()))) => {
                reader = back;
                LONGEST_BREATH.min(BREATH.saturating_mul(u32::try_from(users.len()).unwrap_or(u32::MAX)))
            }
            failed => {
                let error = failed.and_then(|(_, result)| result.err());
                tracing::debug!(?error, "PostgreSQL is away, sockets wait");
                reader = Reader { live: live.clone(), connection: None, compared };
                // They still have news. Their sockets read for themselves, so that one whose news cannot be read holds up no others.
                live.hub.wake(users);
                LOOK
            }
        };
        sleep(pause).await;
    }
}

impl Reader {
    async fn work(&mut self, work: Work) -> Result<(), sqlx::Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => {
                let mut connection = self.live.pool.acquire().await?;
                // A plan that was made while the tables were empty, and kept, reads all of them for each user.
                connection.execute("SET plan_cache_mode = force_custom_plan").await?;
                empty.insert(connection)
            }
        };
        match work {
            Work::Read(positions) => read(&self.live, connection, &positions).await,
            Work::Look => look(&self.live, connection, &mut self.compared).await,
        }
    }
}

async fn read(live: &Live, connection: &mut PgConnection, positions: &[(UserId, i64)]) -> Result<(), sqlx::Error> {
    if positions.is_empty() {
        return Ok(());
    }
    let news = news::after(connection, positions, PAGE).await?;
    // Who has a whole page may have more.
    let full = news.chunk_by(|a, b| a.user == b.user).filter(|page| page.len() == PAGE as usize);
    let again: Vec<_> = full.map(|page| page[0].user).collect();
    let (now, lag) = (Utc::now(), metrics::histogram!("shop_live_relay_lag_seconds"));
    for news in &news {
        lag.record((now - news.at).to_std().unwrap_or_default());
    }
    live.hub.hand_out(news);
    live.hub.note(again);
    Ok(())
}

/// Looks at what has been written since the last look, whoever's it is: that does not cost more when more are connected.
async fn look(live: &Live, connection: &mut PgConnection, compared: &mut Option<Timestamp>) -> Result<(), sqlx::Error> {
    let settled = events::settled_until(connection).await?;
    let since = compared.unwrap_or(settled - FIRST_LOOK);
    let ahead = live.hub.compare(&events::touched_since(connection, since).await?);
    // The later of two numbers may have begun before the last look, so that alone says nothing.
    for user in ahead {
        live.hub.set_back(user, events::last_number(connection, user).await?);
    }
    *compared = Some(settled);
    Ok(())
}
