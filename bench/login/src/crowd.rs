//! `login crowd`: whether those who guess passwords hold up those who look at products.
//!
//! Products are asked for at an even rate, first while nothing else happens, and then while many clients try one wrong
//! password after the other. Hashing one takes tens of milliseconds of a core.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use futures::future::try_join_all;
use reqwest::StatusCode;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use crate::shop::Shop;
use crate::{millis, percentile};

/// Products are asked for so often.
pub(crate) const EVERY: Duration = Duration::from_millis(5);
/// So many requests for products before the guesses, and at least so many during them.
const LOOKS: usize = 2000;
/// How many times its value without guesses the p99 may be.
pub(crate) const LIMIT: f64 = 3.0;

/// How far the guesses are.
#[derive(Default)]
struct Guesses {
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// Those that were hashed; the others were turned away at once, because too many waited.
    hashed: AtomicUsize,
}

/// Measures, and gives whether the goal is reached.
pub(crate) async fn run(shop: &Shop, guesses: usize, clients: usize) -> anyhow::Result<bool> {
    let looking = |enough: Box<dyn Fn(usize) -> bool + Send>| look(shop.clone(), enough);
    // The first ones open connections.
    looking(Box::new(|looks| looks == LOOKS / 4)).await?;
    let mut before = looking(Box::new(|looks| looks == LOOKS)).await?;

    let progress = Arc::new(Guesses::default());
    let crowd = (0..clients).map(|_| guess(shop.clone(), Arc::clone(&progress), guesses));
    let over = Arc::clone(&progress);
    let over = Box::new(move |looks| looks >= LOOKS && over.ended.load(Ordering::Relaxed) >= guesses);
    let (mut during, _) = tokio::try_join!(looking(over), try_join_all(crowd))?;

    let ratio = percentile(&mut during, 99).as_secs_f64() / percentile(&mut before, 99).as_secs_f64();
    for (what, looks) in [("before", &mut before), ("during", &mut during)] {
        let (p50, p99) = (millis(percentile(looks, 50)), millis(percentile(looks, 99)));
        println!("GET /products {what}  p50 {p50:7.2} ms  p99 {p99:7.2} ms  ({} requests)", looks.len());
    }
    let hashed = progress.hashed.load(Ordering::Relaxed);
    println!(
        "guesses               {guesses} of {clients} clients, {hashed} of them hashed, the rest turned away (503)"
    );
    let reached = ratio <= LIMIT;
    let verdict = if reached { "reached" } else { "NOT reached" };
    println!("p99 ratio             {ratio:.2} (goal: {LIMIT:.2} or less, {verdict})");
    Ok(reached)
}

/// Asks for products at an even rate, until it is enough. A late answer does not make the next request late.
pub(crate) async fn look(shop: Shop, enough: Box<dyn Fn(usize) -> bool + Send>) -> anyhow::Result<Vec<Duration>> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut looks = Vec::new();
    while !enough(looks.len()) {
        ticks.tick().await;
        let shop = shop.clone();
        looks.push(tokio::spawn(async move { shop.products().await }));
    }
    try_join_all(looks).await?.into_iter().collect()
}

/// Guesses until all clients together have guessed so often.
async fn guess(shop: Shop, progress: Arc<Guesses>, guesses: usize) -> anyhow::Result<()> {
    while progress.begun.fetch_add(1, Ordering::Relaxed) < guesses {
        let status = shop.guess(&format!("{}@login.example", Uuid::now_v7())).await?;
        let hashed = status == StatusCode::UNAUTHORIZED;
        ensure!(
            hashed || status == StatusCode::SERVICE_UNAVAILABLE,
            "a guess is answered {status}; are the rate limits off?"
        );
        progress.hashed.fetch_add(usize::from(hashed), Ordering::Relaxed);
        progress.ended.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
