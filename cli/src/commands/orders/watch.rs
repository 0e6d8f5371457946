//! `shopctl orders watch`: the moves of orders, as they happen.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use shop_common::events::{self, Event, NEWS, Place};
use shop_common::id::OrderId;
use shop_common::orders::news::{self, Beginning, News};
use shop_common::orders::status::OrderStatus;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::args::Format;
use crate::args::orders::OrdersWatchArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// How often the log is read when nobody says that there are news.
const LOOK: Duration = Duration::from_secs(1);
/// Between two reads, so that a busy shop's news are read together.
const BREATH: Duration = Duration::from_millis(50);
/// News that are read at once.
const PAGE: u32 = 500;

/// Shows the moves of one order until it has ended, or of all orders until told to stop.
pub(crate) async fn watch(args: &OrdersWatchArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let awake = Arc::new(Notify::new());
    let heard = Arc::clone(&awake);
    // Held until the end: with it goes the subscription.
    let redis = shop.listen(move || heard.notify_one())?;
    if redis.subscribe(NEWS).await.is_err() {
        output::note("Redis does not answer; what happens is shown about a second late");
    }
    match args.order {
        Some(order) => watch_one(&shop.pool, order, args.shop.output, &awake).await,
        None => watch_all(&shop.pool, args.shop.output, &awake).await,
    }
}

async fn watch_one(pool: &PgPool, order: OrderId, format: Format, awake: &Notify) -> Result<(), Failure> {
    let Beginning { owner, status, refund_pending, first } =
        news::beginning(pool, order).await.map_err(database)?.ok_or_else(|| {
            Failure::new(Exit::NotFound, format!("there is no order {order}")).next("watch all of them with --all")
        })?;
    if first.is_none() && !status.is_open() && !refund_pending {
        output::note(format!("order {order} is {}; its moves are so old that they were forgotten", status.as_str()));
        return Ok(());
    }
    let mut position = first.map_or(0, |first| first - 1);
    let mut connection = pool.acquire().await.map_err(database)?;
    loop {
        let page = news::after(&mut connection, &[(owner, position)], PAGE).await.map_err(database)?;
        let more = page.len() == PAGE as usize;
        for news in page {
            position = news.seq;
            if news.order != order {
                continue;
            }
            show(&news, format)?;
            if has_ended(&news) {
                return Ok(());
            }
        }
        if !more {
            pause(awake).await;
        }
    }
}

/// Reads again from where something may still appear, and passes over what was shown already.
async fn watch_all(pool: &PgPool, format: Format, awake: &Notify) -> Result<(), Failure> {
    let mut connection = pool.acquire().await.map_err(database)?;
    let mut settled = events::settled_until(&mut connection).await.map_err(database)?;
    let mut shown: HashSet<Place> = HashSet::new();
    loop {
        let settled_now = events::settled_until(&mut connection).await.map_err(database)?;
        let mut place = Place::at(settled);
        loop {
            let mut page = events::of_all(&mut connection, place, PAGE).await.map_err(database)?;
            let more = page.len() == PAGE as usize;
            place = page.last().map_or(place, Event::place);
            page.retain(|event| shown.insert(event.place()));
            for news in news::of(&mut connection, page).await.map_err(database)? {
                show(&news, format)?;
            }
            if !more {
                break;
            }
        }
        settled = settled.max(settled_now);
        shown.retain(|place| place.time >= settled);
        pause(awake).await;
    }
}

/// Waits for news, or a while.
async fn pause(awake: &Notify) {
    // Whether there were news or not: it is time to look.
    let _ = timeout(LOOK, awake.notified()).await;
    tokio::time::sleep(BREATH).await;
}

/// What of an order or a payment is shown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Particulars {
    status: String,
    attempt: Option<i32>,
    error: Option<String>,
    next_attempt_at: Option<String>,
}

fn show(news: &News, format: Format) -> Result<(), Failure> {
    let line = match format {
        // A stream has no end that could close a document: both forms are lines.
        Format::Json | Format::Jsonl => {
            json!({ "seq": news.seq, "type": news.kind.as_str(), "data": news.data }).to_string()
        }
        Format::Table => {
            let Particulars { status, attempt, error, next_attempt_at } = serde_json::from_str(news.data.get())?;
            let mut line =
                format!("{}  {}  {:<14}  {status}", news.at.format("%F %T%.3f"), news.order, news.kind.as_str());
            for (what, value) in
                [("attempt", attempt.map(|n| n.to_string())), ("error", error), ("next", next_attempt_at)]
            {
                if let Some(value) = value {
                    line = format!("{line}  {what}={value}");
                }
            }
            line
        }
    };
    Ok(output::data(output::harmless(&line))?)
}

/// Whether that was the last move. An order whose refund was asked for goes on to move when it is COMPLETED.
fn has_ended(news: &News) -> bool {
    #[derive(Deserialize)]
    struct Moved {
        status: OrderStatus,
        refund: Option<IgnoredAny>,
    }
    let to_an_end = |Moved { status, refund }| match status {
        OrderStatus::Completed => refund.is_none(),
        status => !status.is_open(),
    };
    news.kind == events::EventKind::OrderStatus && serde_json::from_str(news.data.get()).is_ok_and(to_an_end)
}
