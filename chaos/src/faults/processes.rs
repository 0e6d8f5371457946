//! Programs that die, stand still, or are told to go; clients that hang up.

use std::time::Duration;

use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use shop_common::chaos::{CANCELLATION, PLACEMENT, WORKER};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
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
                let death = kill_at(node, &steps, &mut rng).await?;
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
                let death = kill_at(node, &WORKER, &mut rng).await?;
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
async fn kill_at(node: &Node, steps: &[&str], rng: &mut StdRng) -> anyhow::Result<Death> {
    let step = steps.choose(rng).filter(|_| rng.random_bool(0.75));
    let failpoint = step.map(|step| format!("{step}={}*off->return", rng.random_range(0..6)));
    let variables: Vec<_> = failpoint.into_iter().map(|failpoint| ("FAILPOINTS", failpoint)).collect();
    let pid = node.program.start(&variables)?;
    let patience = if step.is_some() { AT_STEP } else { Duration::from_millis(rng.random_range(300..1000)) };
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if node.program.ended().is_some() {
            node.program.bury();
            return Ok(Death { pid, at_step: step.is_some() });
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
    scene.stage.gateway_faults(&serde_json::json!({ "latencyMs": 120 })).await?;
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
                let pause = LEASE + Duration::from_millis(rng.random_range(1300..2200));
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
                scene.tally.add("zombies", u64::from(taken > 0));
                scene.tally.add("zombies' jobs", u64::try_from(taken)?);
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

/// F7.
pub(super) async fn hang_up(scene: Scene, mut rng: StdRng) -> anyhow::Result<()> {
    let mut clients = JoinSet::new();
    for n in 0..16 {
        let (scene, mut rng) = (scene.clone(), StdRng::seed_from_u64(rng.random()));
        clients.spawn(async move {
            let run: u32 = rng.random();
            for m in 0.. {
                if !scene.goes_on() {
                    return;
                }
                if hang_up_once(&scene, &mut rng, &format!("hang-{run}-{n}-{m}")).await.is_ok() {
                    scene.tally.add("hang-ups", 1);
                } else {
                    sleep(Duration::from_millis(20)).await;
                }
            }
        });
    }
    while scene.goes_on() {
        sleep(Duration::from_millis(rng.random_range(800..1600))).await;
        let api = &scene.stage.apis[rng.random_range(0..scene.stage.apis.len())].program;
        api.signal(Signal::SIGTERM);
        let told = Instant::now();
        while api.ended().is_none() && told.elapsed() < Duration::from_secs(10) {
            sleep(Duration::from_millis(5)).await;
        }
        match api.ended() {
            Some(status) if status.success() => {}
            Some(status) => scene.load.journal.violation(format!("F7 after SIGTERM the api left with {status}")),
            None => scene.load.journal.violation("F7 ten seconds after SIGTERM the api still ran".to_owned()),
        }
        api.start(&[])?;
        scene.tally.add("SIGTERMs", 1);
        // Both apis away at once would only be a pause.
        sleep(Duration::from_millis(500)).await;
    }
    clients.join_all().await;
    Ok(())
}

/// Sends an order, the whole of it or not, and hangs up before the answer or in the middle of it.
async fn hang_up_once(scene: &Scene, rng: &mut StdRng, key: &str) -> anyhow::Result<()> {
    let sent = scene.load.next_order(rng, key.to_owned());
    let api = &scene.stage.apis[rng.random_range(0..scene.stage.apis.len())];
    let address = api.url.trim_start_matches("http://");
    let token = &scene.stage.customers[sent.customer].token;
    let body = sent.body.to_string();
    let request = format!(
        "POST /orders HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = TcpStream::connect(address).await?;
    let all = rng.random_bool(0.9);
    let part = if all { request.len() } else { rng.random_range(1..request.len()) };
    if all {
        scene.load.journal.sending(&sent);
    }
    connection.write_all(&request.as_bytes()[..part]).await?;
    sleep(Duration::from_micros(rng.random_range(0..15_000))).await;
    Ok(())
}
