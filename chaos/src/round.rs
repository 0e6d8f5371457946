//! One round: load, faults, healing, drain, verdict.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::driver::Load;
use crate::faults::{self, Fault, Scene, Tally};
use crate::journal::Journal;
use crate::oracle::{self, Case};
use crate::stage::Stage;
use crate::watcher::Watcher;

/// Customers who order at the same time.
const CLIENTS: usize = 16;
/// Customers who watch.
const WATCHERS: usize = 2;
/// How long an event may take once everything is quiet.
const EVENTS: Duration = Duration::from_secs(10);
/// Orders that are sent again at the end, of those with an answer and of those without.
const REPLAYS: usize = 40;
/// How long a round may take besides its faults.
const LONGEST: Duration = Duration::from_secs(240);

/// What a round does. The same plan gives the same schedule of faults and orders, but not the same interleaving.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Everything random comes from it.
    pub seed: u64,
    /// What goes wrong, all at once.
    pub faults: Vec<Fault>,
    /// For how long.
    pub length: Duration,
}

/// What came of a round.
#[derive(Debug)]
pub struct Outcome {
    /// From the end of the faults to the end of the last order, if it came to that.
    pub recovery: Option<Duration>,
    /// Everything that must not be; nothing when the round is green.
    pub violations: Vec<String>,
}

/// Plays a round. What makes the rig itself fail is a violation as well: it could not look.
pub async fn play(stage: &Arc<Stage>, plan: &Plan, tally: &Arc<Tally>) -> Outcome {
    let journal = Arc::new(Journal::default());
    match timeout(LONGEST + plan.length, play_through(stage, plan, tally, &journal)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            journal.violation(format!("the rig failed: {error:#}"));
            Outcome { recovery: None, violations: journal.violations() }
        }
        Err(_) => {
            journal.violation(format!("the round has not ended {LONGEST:?} after its faults"));
            Outcome { recovery: None, violations: journal.violations() }
        }
    }
}

async fn play_through(
    stage: &Arc<Stage>,
    plan: &Plan,
    tally: &Arc<Tally>,
    journal: &Arc<Journal>,
) -> anyhow::Result<Outcome> {
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let since = Uuid::now_v7();
    let logged: Vec<u64> = stage.nodes().map(|node| node.program.logged()).collect();
    let settings: Vec<_> = plan.faults.iter().flat_map(|fault| fault.settings()).collect();
    if !settings.is_empty() {
        for worker in &stage.workers {
            worker.program.start(&settings)?;
        }
        stage.all_serve().await?;
    }

    let stop = Arc::new(AtomicBool::new(false));
    let load = Load {
        stage: Arc::clone(stage),
        journal: Arc::clone(journal),
        hot: stage.product("Hot", rng.random_range(40..200)).await?,
        stop: Arc::clone(&stop),
        pause: Duration::from_millis(if plan.faults.contains(&Fault::F5) { 0 } else { 10 }),
        cancels: 0.2,
    };
    let mut customers = JoinSet::new();
    for n in 0..CLIENTS {
        customers.spawn(load.clone().run(format!("{}-{since}-{n}", plan.seed), rng.random()));
    }
    let (mut watchers, mut watching, unwatch) = (Vec::new(), JoinSet::new(), Arc::new(AtomicBool::new(false)));
    for customer in stage.customers.iter().take(WATCHERS) {
        let watcher = Watcher::new(Arc::clone(stage), Arc::clone(journal), customer, Arc::clone(&unwatch)).await?;
        watching.spawn(watcher.clone().run());
        watchers.push(watcher);
    }

    let scene = Scene {
        stage: Arc::clone(stage),
        load: load.clone(),
        tally: Arc::clone(tally),
        until: Instant::now() + plan.length * if plan.faults.iter().any(|fault| fault.takes_long()) { 2 } else { 1 },
        alone: plan.faults.len() == 1,
    };
    let nemesis = plan.faults.iter().map(|fault| faults::inject(*fault, scene.clone(), rng.random()));
    futures::future::try_join_all(nemesis).await?;
    for node in stage.nodes() {
        if let Some(status) = node.program.ended() {
            journal.violation(format!("{} ended by itself: {status}", node.program.name));
            node.program.bury();
        }
    }
    let over = Instant::now();
    stage.heal().await?;
    stop.store(true, Ordering::Relaxed);
    while let Some(customer) = customers.join_next().await {
        customer?;
    }
    let mut drained = oracle::drained(stage).await?;
    let recovery = Some(over.elapsed());
    if drained.is_ok() {
        replay(&load, &mut rng).await;
        drained = oracle::drained(stage).await?;
    }
    if let Err(left) = drained {
        journal.violation(left);
    }
    for watcher in &watchers {
        if !watcher.has_seen_all(EVENTS).await? {
            journal.violation("I7 a customer who came back has not got all events".to_owned());
        }
    }
    unwatch.store(true, Ordering::Relaxed);
    watching.abort_all();
    if !plan.faults.contains(&Fault::F10) {
        for (node, since) in stage.nodes().zip(logged) {
            if let Some(line) = node.program.lines_with(&["panicked"], since).first() {
                journal.violation(format!("{} panicked: {line}", node.program.name));
            }
        }
    }
    let violations = Case { stage, journal, since, faults: &plan.faults, tally }.judge().await?;
    if !settings.is_empty() {
        for worker in &stage.workers {
            worker.program.start(&[])?;
        }
        stage.all_serve().await?;
    }
    Ok(Outcome { recovery, violations })
}

/// Sends orders again: one whose answer is known must get the same, byte for byte, and one whose customer
/// hung up gets the one that it would have got.
async fn replay(load: &Load, rng: &mut StdRng) {
    let (mut answered, mut open): (Vec<_>, Vec<_>) =
        load.journal.entries().into_iter().partition(|(_, answer)| answer.is_some());
    for orders in [&mut answered, &mut open] {
        orders.shuffle(rng);
        for (sent, _) in orders.iter().take(REPLAYS) {
            load.place(rng, sent).await;
        }
    }
}
