//! A gateway that cannot be trusted, and jobs that cannot be done.

use std::time::Duration;

use nix::sys::signal::Signal;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::time::sleep;
use uuid::Uuid;

use super::Scene;

/// Claims of a job that nobody can read, at most: its worker may die, its handler may panic three times.
const MOST_CLAIMS: i32 = 8;

/// F4.
pub(super) async fn misbehave(scene: Scene, mut rng: StdRng) -> anyhow::Result<()> {
    let ambiguous = ambiguous(&scene).await?;
    while scene.goes_on() {
        let mut faults = json!({
            "timeoutAfterCharge": rng.random_range(0.0..0.1),
            "errorAfterCharge": rng.random_range(0.0..0.1),
            "failedAfterCharge": rng.random_range(0.0..0.1),
            "hang": rng.random_range(0.0..0.05),
            "refuse": rng.random_range(0.0..0.1),
            "down": rng.random_bool(0.1),
            "latencyMs": rng.random_range(0..30),
            "seed": rng.random::<u32>(),
        });
        // One of the ways to charge and not say so prevails.
        let prevails = ["timeoutAfterCharge", "errorAfterCharge", "failedAfterCharge"][rng.random_range(0..3)];
        faults[prevails] = json!(0.6);
        scene.stage.gateway_faults(&faults).await?;
        scene.tally.add("gateway moods", 1);
        sleep(Duration::from_millis(rng.random_range(300..900))).await;
        if rng.random_bool(0.15) {
            scene.stage.gateway.kill();
            sleep(Duration::from_millis(rng.random_range(0..400))).await;
            scene.stage.gateway.start(&[])?;
            scene.stage.all_serve().await?;
            scene.tally.add("gateway kills", 1);
        }
    }
    scene.stage.gateway_faults(&json!({})).await?;
    scene.tally.add("ambiguous charges", self::ambiguous(&scene).await?.saturating_sub(ambiguous));
    Ok(())
}

/// Charges that were captured and whose answer did not say so, so far.
async fn ambiguous(scene: &Scene) -> anyhow::Result<u64> {
    let stats: serde_json::Value =
        scene.stage.http.get(format!("{}/stats", scene.stage.gateway_url)).send().await?.json().await?;
    Ok(stats["ambiguous"].as_u64().unwrap_or(0))
}

/// An hour is six seconds: the backoff's base and cap and the time to give up are a 600th of the usual ones.
/// Three deaths make poison, and the handler panics now and then.
pub(super) fn compressed_time() -> Vec<(&'static str, String)> {
    vec![
        ("ROCKET_JOBS", "{base_ms=2,cap_ms=500,give_up_after_seconds=144,max_crashes=3}".to_owned()),
        ("FAILPOINTS", "charge.before=4%panic".to_owned()),
    ]
}

/// F10. That no order fails for it is judged by how the orders end, when they have.
pub(super) async fn poison_and_outage(scene: Scene, mut rng: StdRng) -> anyhow::Result<()> {
    poison(&scene, &mut rng).await?;
    scene.stage.gateway_faults(&json!({ "down": true })).await?;
    sleep(Duration::from_secs(6)).await;
    scene.stage.gateway_faults(&json!({})).await?;
    scene.tally.add("hours without gateway", 1);
    Ok(())
}

/// Makes payloads unreadable while all workers stand still, and sees that they end with their reason.
async fn poison(scene: &Scene, rng: &mut StdRng) -> anyhow::Result<()> {
    for worker in &scene.stage.workers {
        worker.program.signal(Signal::SIGSTOP);
    }
    sleep(Duration::from_millis(rng.random_range(300..600))).await;
    let poisoned: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE jobs SET payload = '\"this is no payload\"'
         WHERE id IN (SELECT id FROM jobs WHERE state = 'scheduled' ORDER BY id LIMIT 8) RETURNING id",
    )
    .fetch_all(&scene.stage.pool)
    .await?;
    for worker in &scene.stage.workers {
        worker.program.signal(Signal::SIGCONT);
    }
    scene.tally.add("poison jobs", u64::try_from(poisoned.len())?);
    for _ in 0..400 {
        let (ended, claims): (i64, Option<i32>) = sqlx::query_as(
            "SELECT count(*), max(j.claims) FROM jobs j JOIN orders o ON o.id = j.order_id
             WHERE j.id = ANY($1) AND (o.status = 'CANCELLED' OR j.state = 'dead' AND j.last_error LIKE 'poison%' AND o.status = 'FAILED')",
        )
        .bind(&poisoned)
        .fetch_one(&scene.stage.pool)
        .await?;
        if usize::try_from(ended)? == poisoned.len() {
            if claims.is_some_and(|claims| claims > MOST_CLAIMS) {
                scene
                    .load
                    .journal
                    .violation(format!("F10 a poison job was claimed {claims:?} times, that is a hot loop"));
            }
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
    scene.load.journal.violation("F10 twenty seconds later poison jobs are not dead with their reason".to_owned());
    Ok(())
}
