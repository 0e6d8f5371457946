//! The relay: one subscription per process, from Redis and the events table to the hub.

use std::collections::HashMap;
use std::time::Duration;

use rocket::Shutdown;
use rocket::fairing::AdHoc;
use shop_common::events::{self, NEWS};
use shop_common::orders::news;
use shop_common::redis::Redis;
use shop_common::{config, db};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::feed::{Live, PAGE};

/// How often the table is looked at for connected users: what Redis has lost is late by so much.
const LOOK: Duration = Duration::from_secs(1);
/// Between two reads, so that a busy shop's news are read for many users at once. The first one never waits.
const BREATH: Duration = Duration::from_millis(10);
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

async fn run(live: Live, mut shutdown: Shutdown) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let bounded = |live: Live, work: fn(Live) -> Work| db::bounded(work(live));
        let done = tokio::select! {
            () = &mut shutdown => return,
            _ = look.tick() => bounded(live.clone(), |live| Box::pin(note_what_was_not_told(live))).await,
            () = live.hub.noted() => {
                let done = bounded(live.clone(), |live| Box::pin(read(live))).await;
                sleep(BREATH).await;
                done
            }
        };
        match done {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%error, "PostgreSQL is away, sockets wait"),
            None => tracing::warn!("PostgreSQL does not answer, sockets wait"),
        }
    }
}

type Work = std::pin::Pin<Box<dyn Future<Output = Result<(), sqlx::Error>> + Send>>;

/// Reads the news of who was noted, and hands them out.
async fn read(live: Live) -> Result<(), sqlx::Error> {
    let positions = live.hub.unread(USERS);
    if positions.is_empty() {
        return Ok(());
    }
    let news = news::after(&live.pool, &positions, PAGE).await?;
    // Who has a whole page may have more.
    let full = news.chunk_by(|a, b| a.user == b.user).filter(|page| page.len() == PAGE as usize);
    let again: Vec<_> = full.map(|page| page[0].user).collect();
    live.hub.hand_out(news);
    live.hub.note(again);
    Ok(())
}

/// Looks at the last numbers of all who are connected, and notes those who were not told of something.
async fn note_what_was_not_told(live: Live) -> Result<(), sqlx::Error> {
    let positions = live.hub.positions();
    if positions.is_empty() {
        return Ok(());
    }
    let users: Vec<_> = positions.keys().copied().collect();
    let numbers: HashMap<_, _> = events::last_numbers(&live.pool, &users).await?.into_iter().collect();
    let mut behind = Vec::new();
    for (user, position) in positions {
        match numbers.get(&user).copied().unwrap_or(0) {
            last if last > position => behind.push(user),
            last if last < position => live.hub.set_back(user, last),
            _ => {}
        }
    }
    live.hub.note(behind);
    Ok(())
}
