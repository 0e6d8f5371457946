//! Programs that die or stand still.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use shop_common::chaos::{CANCELLATION, PLACEMENT, WORKER};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::Scene;
use crate::stage::{LEASE, Node};

/// How long to wait for a program to die at its failpoint before it is killed by hand.
const AT_STEP: Duration = Duration::from_millis(1200);
/// How long a dead worker's jobs may stay its own, beyond its lease.
const TAKEOVER: Duration = Duration::from_secs(2);

/// F1.
pub(super) async fn kill_apis(scene: Scene, mut rng: StdRng) -> anyhow::Result<()> {
    let steps = [PLACEMENT.as_slice(), &CANCELLATION].concat();
    let mut killers = JoinSet::new();
    for n in 0..scene.stage.apis.len() {
        let (scene, mut rng, steps) = (scene.clone(), StdRng::seed_from_u64(rng.random()), steps.clone());
        killers.spawn(async move {
            let node = &scene.stage.apis[n];
            while scene.goes_on() {
                let death = kill_at(&scene, node, &steps, &mut rng).await?;
                scene.tally.add("api kills", 1);
                scene.tally.add("api kills at a step", u64::from(death.at_step));
            }
            node.program.start(&[]).map(drop)
        });
    }
    killers.join_all().await.into_iter().collect()
}

/// F2.
pub(super) async fn kill_workers(scene: Scene, mut rng: StdRng) -> anyhow::Result<()> {
    let mut killers = JoinSet::new();
    for n in 0..scene.stage.workers.len() {
        let (scene, mut rng) = (scene.clone(), StdRng::seed_from_u64(rng.random()));
        killers.spawn(async move {
            let node = &scene.stage.workers[n];
            let mut watches = JoinSet::new();
            while scene.goes_on() {
                let death = kill_at(&scene, node, &WORKER, &mut rng).await?;
                if scene.alone {
                    watches.spawn(takeover(scene.clone(), death.pid));
                }
                scene.tally.add("worker kills", 1);
                scene.tally.add("worker kills at a step", u64::from(death.at_step));
            }
            node.program.start(&[])?;
            watches.join_all().await.into_iter().collect()
        });
    }
    killers.join_all().await.into_iter().collect()
}

/// A program that has just died.
struct Death {
    pid: u32,
    at_step: bool,
}

/// Kills a program: at random, or by starting it so that it kills itself at a step, on its n-th time there.
/// The next start is the caller's, or the next kill's.
async fn kill_at(scene: &Scene, node: &Node, steps: &[&'static str], rng: &mut StdRng) -> anyhow::Result<Death> {
    let step = steps.choose(rng).filter(|_| rng.random_bool(0.75)).copied();
    let failpoint = step.map(|step| format!("{step}={}*off->return", rng.random_range(0..6)));
    let variables: Vec<_> = failpoint.into_iter().map(|failpoint| ("FAILPOINTS", failpoint)).collect();
    let pid = node.program.start(&variables)?;
    let patience = if step.is_some() { AT_STEP } else { Duration::from_millis(rng.random_range(300..1000)) };
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Some(status) = node.program.ended() {
            node.program.bury();
            match step.filter(|_| status.signal() == Some(Signal::SIGKILL as i32)) {
                Some(step) => scene.tally.add(step, 1),
                None => scene.load.journal.violation(format!("{} ended by itself: {status}", node.program.name)),
            }
            return Ok(Death { pid, at_step: true });
        }
        sleep(Duration::from_millis(2)).await;
    }
    node.program.kill();
    Ok(Death { pid, at_step: false })
}

/// The jobs of a worker that has died are somebody else's within a lease and a bit.
async fn takeover(scene: Scene, pid: u32) -> anyhow::Result<()> {
    let died = Instant::now();
    let boot: Option<Uuid> =
        sqlx::query_scalar("SELECT boot_id FROM workers WHERE pid = $1 ORDER BY started_at DESC LIMIT 1")
            .bind(i32::try_from(pid)?)
            .fetch_optional(&scene.stage.pool)
            .await?;
    let Some(boot) = boot else { return Ok(()) };
    loop {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE state = 'running' AND boot_id = $1")
            .bind(boot)
            .fetch_one(&scene.stage.pool)
            .await?;
        let took = died.elapsed();
        if left == 0 {
            scene.tally.most("slowest takeover, ms", u64::try_from(took.as_millis())?);
            return Ok(());
        }
        if took > LEASE + TAKEOVER {
            scene
                .load
                .journal
                .violation(format!("F2 {left} jobs of dead worker {boot} were not taken over in {took:?}"));
            return Ok(());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// F3. The gateway takes its time, so that a worker that stands still has jobs in hand.
pub(super) async fn pause_workers(scene: Scene, mut rng: StdRng) -> anyhow::Result<()> {
    scene.stage.gateway_faults(&serde_json::json!({ "latencyMs": 250 })).await?;
    // Not all at once: somebody has to take over.
    let mut pausers = JoinSet::new();
    for n in 0..2 {
        let (scene, mut rng) = (scene.clone(), StdRng::seed_from_u64(rng.random()));
        pausers.spawn(async move {
            let worker = &scene.stage.workers[n].program;
            while scene.goes_on() {
                sleep(Duration::from_millis(rng.random_range(20..200))).await;
                let Some(pid) = worker.id() else { continue };
                if held(&scene, pid).await?.is_empty() {
                    continue;
                }
                worker.signal(Signal::SIGSTOP);
                let paused = Instant::now();
                let held = held(&scene, pid).await?;
                let pause = LEASE + Duration::from_millis(rng.random_range(1800..2600));
                sleep(pause.saturating_sub(paused.elapsed())).await;
                let (jobs, boots): (Vec<Uuid>, Vec<Uuid>) = held.into_iter().unzip();
                let taken: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM jobs j JOIN unnest($1::uuid[], $2::uuid[]) AS held (id, boot) ON held.id = j.id
                     WHERE j.boot_id <> held.boot",
                )
                .bind(jobs)
                .bind(boots)
                .fetch_one(&scene.stage.pool)
                .await?;
                worker.signal(Signal::SIGCONT);
                scene.tally.add("pauses", 1);
                // One that another fault has killed meanwhile does not come back.
                if worker.id() == Some(pid) && worker.ended().is_none() {
                    scene.tally.add("zombies", u64::from(taken > 0));
                    scene.tally.add("zombies' jobs", u64::try_from(taken)?);
                }
            }
            anyhow::Ok(())
        });
    }
    pausers.join_all().await.into_iter().collect()
}

/// The jobs that the worker with that process id has in hand, and its boot id.
async fn held(scene: &Scene, pid: u32) -> anyhow::Result<Vec<(Uuid, Uuid)>> {
    let held = sqlx::query_as(
        "SELECT j.id, j.boot_id FROM jobs j JOIN workers w ON w.boot_id = j.boot_id WHERE w.pid = $1 AND j.state = 'running'",
    )
    .bind(i32::try_from(pid)?)
    .fetch_all(&scene.stage.pool)
    .await?;
    Ok(held)
}
