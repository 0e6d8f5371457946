//! The relay: one subscription per process, from Redis and the events table to the hub.

use std::time::Duration;

use rocket::Shutdown;
use rocket::fairing::AdHoc;
use shop_common::events::{self, NEWS};
use shop_common::orders::news;
use shop_common::redis::Redis;
use shop_common::time::Timestamp;
use shop_common::{config, db};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::feed::{Live, PAGE};

/// How often the table is looked at: what Redis has lost is late by so much.
const LOOK: Duration = Duration::from_secs(1);
/// A pause after each read, so that a busy shop's news are read for many users at once. The first of them never waits.
const BREATH: Duration = Duration::from_millis(20);
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
#[derive(Clone, Copy)]
enum Work {
    /// Read the news of who was noted, and hand them out.
    Read,
    /// Note who has events that nobody told of.
    Look,
}

/// Reads the table. It has a connection of its own: one that comes from the pool and goes back costs two round trips more.
struct Reader {
    live: Live,
    connection: Option<PoolConnection<Postgres>>,
    /// Events that began before that were seen. None before the first look.
    settled: Option<Timestamp>,
}

async fn run(live: Live, mut shutdown: Shutdown) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reader = Reader { live: live.clone(), connection: None, settled: None };
    loop {
        let work = tokio::select! {
            () = &mut shutdown => return,
            _ = look.tick() => Work::Look,
            () = live.hub.noted() => Work::Read,
        };
        let settled = reader.settled;
        let done = db::bounded(async move {
            let result = reader.work(work).await;
            (reader, result)
        });
        reader = match done.await {
            Some((reader, Ok(()))) => reader,
            failed => {
                let error = failed.and_then(|(_, result)| result.err());
                tracing::debug!(?error, "PostgreSQL is away, sockets wait");
                Reader { live: live.clone(), connection: None, settled }
            }
        };
        if matches!(work, Work::Read) {
            sleep(BREATH).await;
        }
    }
}

impl Reader {
    async fn work(&mut self, work: Work) -> Result<(), sqlx::Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => empty.insert(self.live.pool.acquire().await?),
        };
        match work {
            Work::Read => read(&self.live, connection).await,
            Work::Look => look(&self.live, connection, &mut self.settled).await,
        }
    }
}

async fn read(live: &Live, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let positions = live.hub.unread(USERS);
    if positions.is_empty() {
        return Ok(());
    }
    let news = news::after(connection, &positions, PAGE).await?;
    // Who has a whole page may have more.
    let full = news.chunk_by(|a, b| a.user == b.user).filter(|page| page.len() == PAGE as usize);
    let again: Vec<_> = full.map(|page| page[0].user).collect();
    live.hub.hand_out(news);
    live.hub.note(again);
    Ok(())
}

/// Looks at what has been written since the last look, whoever's it is: that does not cost more when more are connected.
async fn look(live: &Live, connection: &mut PgConnection, settled: &mut Option<Timestamp>) -> Result<(), sqlx::Error> {
    let now = events::settled_until(connection).await?;
    if let Some(since) = *settled {
        let ahead = live.hub.compare(&events::touched_since(connection, since).await?);
        // The later of two numbers may have begun before the last look, so that alone says nothing.
        for user in ahead {
            live.hub.set_back(user, events::last_number(connection, user).await?);
        }
    }
    *settled = Some(now);
    Ok(())
}
