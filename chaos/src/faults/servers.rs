//! PostgreSQL and Redis: killed, wiped, starved.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::Scene;

/// How long the due jobs may stand still once Redis is back.
const MOVING_AGAIN: Duration = Duration::from_secs(5);

/// F5.
pub(super) async fn spoil_redis(scene: Scene, mut rng: StdRng) -> anyhow::Result<()> {
    let redis = &scene.stage.redis;
    while scene.goes_on() {
        sleep(Duration::from_millis(rng.random_range(100..400))).await;
        match rng.random_range(0..7) {
            0 | 1 => {
                scene.tally.add("jobs wiped", redis.jobs().await?);
                redis.command(&["FLUSHALL"]).await?;
                scene.tally.add("wipes", 1);
            }
            2 => {
                redis.kill();
                away(&scene, &mut rng).await?;
                redis.start("noeviction").await?;
                scene.tally.add("Redis kills", 1);
            }
            3 | 4 => {
                scene.tally.add("jobs wiped", redis.jobs().await?);
                redis.kill();
                redis.forget()?;
                away(&scene, &mut rng).await?;
                redis.start("noeviction").await?;
                scene.tally.add("wipes", 1);
                scene.tally.add("Redis kills", 1);
            }
            5 => {
                redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await?;
                sleep(Duration::from_millis(rng.random_range(300..1200))).await;
                redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await?;
                scene.tally.add("Redis out of memory", 1);
            }
            _ => wrong_eviction_policy(&scene).await?,
        }
        moving_again(&scene).await?;
    }
    Ok(())
}

/// Redis is away: the shop says so, and goes on taking orders.
async fn away(scene: &Scene, rng: &mut StdRng) -> anyhow::Result<()> {
    let accepted = scene.load.journal.accepted();
    sleep(Duration::from_millis(rng.random_range(400..1200))).await;
    if !scene.alone {
        return Ok(());
    }
    let mut told = Value::Null;
    // The first look may meet the connection that has just broken.
    for _ in 0..20 {
        let ready = scene.stage.http.get(format!("{}/readyz", scene.stage.apis[0].url)).send().await?;
        let status = ready.status();
        told = ready.json().await?;
        if status.is_success() && told["status"] == "degraded" {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    if told["status"] != "degraded" {
        scene.load.journal.violation(format!("F5 without Redis /readyz says {told}"));
    }
    if scene.load.journal.accepted() == accepted {
        scene.load.journal.violation("F5 no order was accepted while Redis was away".to_owned());
    }
    Ok(())
}

/// A restart with a policy that may throw the schedule away is complained of at boot.
async fn wrong_eviction_policy(scene: &Scene) -> anyhow::Result<()> {
    scene.stage.redis.kill();
    scene.stage.redis.start("allkeys-lru").await?;
    let api = &scene.stage.apis[0];
    let logged = api.program.logged();
    api.program.start(&[])?;
    scene.stage.serves(api).await?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while api.program.lines_with(&["maxmemory-policy"], logged).is_empty() {
        if Instant::now() > deadline {
            scene.load.journal.violation("F5 the api did not complain of allkeys-lru at boot".to_owned());
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    scene.stage.redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await?;
    scene.tally.add("wrong eviction policies", 1);
    Ok(())
}

/// Every job that is due when Redis is back has been claimed a moment later.
async fn moving_again(scene: &Scene) -> anyhow::Result<()> {
    let back = Instant::now();
    let due: Vec<(Uuid, i32)> = asked(async || {
        sqlx::query_as("SELECT id, claims FROM jobs WHERE state = 'scheduled' AND run_at <= now()")
            .fetch_all(&scene.stage.pool)
            .await
    })
    .await?;
    let (ids, claims): (Vec<Uuid>, Vec<i32>) = due.into_iter().unzip();
    loop {
        let still: i64 = asked(async || {
            sqlx::query_scalar(
                "SELECT count(*) FROM jobs j JOIN unnest($1::uuid[], $2::integer[]) AS due (id, claims) ON due.id = j.id
                 WHERE j.state = 'scheduled' AND j.claims = due.claims",
            )
            .bind(&ids)
            .bind(&claims)
            .fetch_one(&scene.stage.pool)
            .await
        })
        .await?;
        if still == 0 {
            scene.tally.most("slowest return of due jobs, ms", u64::try_from(back.elapsed().as_millis())?);
            return Ok(());
        }
        if back.elapsed() > MOVING_AGAIN {
            if scene.alone {
                scene
                    .load
                    .journal
                    .violation(format!("F5 {still} due jobs do not move, {MOVING_AGAIN:?} after Redis was back"));
            }
            return Ok(());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Asks the books again while PostgreSQL is broken by another fault of the round.
async fn asked<T>(question: impl AsyncFn() -> sqlx::Result<T>) -> sqlx::Result<T> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match question().await {
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => sleep(Duration::from_millis(50)).await,
            answered => return answered,
        }
    }
}

/// F6.
pub(super) async fn break_postgres(scene: Scene, mut rng: StdRng) -> anyhow::Result<()> {
    let postgres = &scene.stage.postgres;
    while scene.goes_on() {
        sleep(Duration::from_millis(rng.random_range(200..700))).await;
        match rng.random_range(0..6) {
            0..=2 => {
                postgres.stop_immediately().await;
                sleep(Duration::from_millis(rng.random_range(0..600))).await;
                postgres.start().await?;
                scene.tally.add("PostgreSQL restarts", 1);
            }
            3 => {
                let pids: Vec<i32> = asked(async || {
                    sqlx::query_scalar(
                        "SELECT pid FROM pg_stat_activity WHERE datname = 'shop' AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
                    )
                    .fetch_all(&scene.stage.pool)
                    .await
                })
                .await?;
                if !pids.is_empty() {
                    let pid = pids[rng.random_range(0..pids.len())];
                    // It may have ended by itself meanwhile.
                    let killed = kill(Pid::from_raw(pid), Signal::SIGKILL);
                    scene.tally.add("backends killed", u64::from(killed.is_ok()));
                }
                postgres.start().await?;
            }
            4 => {
                let ended: i64 = asked(async || {
                    sqlx::query_scalar(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                         WHERE datname = 'shop' AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
                    )
                    .fetch_one(&scene.stage.pool)
                    .await
                })
                .await?;
                scene.tally.add("backends terminated", u64::try_from(ended)?);
            }
            _ => {
                for node in scene.stage.nodes() {
                    node.to_postgres.lose_answers_to_commits(2);
                    node.to_postgres.lose_commits(1);
                }
                sleep(Duration::from_millis(400)).await;
                for node in scene.stage.nodes() {
                    let left = node.to_postgres.lose_answers_to_commits(0);
                    scene.tally.add("answers to COMMIT lost", u64::from(2 - left));
                    node.to_postgres.lose_commits(0);
                }
            }
        }
    }
    Ok(())
}

/// F9. Disks are filled up to the last byte, and emptied again; nobody edits anything.
pub(super) async fn fill_disks(scene: Scene, mut rng: StdRng) -> anyhow::Result<()> {
    let disks: Vec<&Path> = scene.stage.small_disks().collect();
    let [postgres, redis] = disks[..] else { bail!("F9 needs small disks") };
    let first_is_redis = rng.random_bool(0.5);
    for of_redis in [first_is_redis, !first_is_redis] {
        let disk = if of_redis { redis } else { postgres };
        sleep(Duration::from_millis(rng.random_range(200..500))).await;
        let complaints = complaints(&scene)?;
        let ballast = fill(disk)?;
        let noticed = async || -> anyhow::Result<bool> {
            Ok(if of_redis { redis_cannot_write(&scene).await } else { self::complaints(&scene)? > complaints })
        };
        let deadline = Instant::now() + Duration::from_secs(8);
        while !noticed().await? && Instant::now() < deadline {
            sleep(Duration::from_millis(50)).await;
        }
        if !noticed().await? {
            let server = if of_redis { "Redis" } else { "PostgreSQL" };
            scene.load.journal.violation(format!("F9 {server} has not noticed its full disk, so nothing was tested"));
        }
        sleep(Duration::from_millis(rng.random_range(500..2000))).await;
        fs::remove_file(&ballast).context("the ballast cannot be removed")?;
        scene.stage.postgres.start().await?;
        scene.stage.redis.start("noeviction").await?;
        scene.tally.add("disks filled", 1);
    }
    Ok(())
}

/// How often PostgreSQL has found its disk full.
fn complaints(scene: &Scene) -> std::io::Result<usize> {
    let log = fs::read_to_string(scene.stage.folder().join("postgres.log"))?;
    Ok(log.matches("No space left").count())
}

/// Whether Redis knows that it cannot write. Its log is no witness: it complains twice a minute at most.
async fn redis_cannot_write(scene: &Scene) -> bool {
    scene.stage.redis.info("persistence").await.is_ok_and(|info| info.contains("aof_last_write_status:err"))
}

/// Fills a file system with one file.
fn fill(disk: &Path) -> anyhow::Result<std::path::PathBuf> {
    let path = disk.join("ballast");
    let mut file = fs::File::create(&path)?;
    for size in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    Ok(path)
}
