//! The network between programs and servers, cut or slow.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use shop_testkit::link::Weather;
use tokio::time::sleep;

use super::Scene;

/// F8.
pub(super) async fn spoil(scene: Scene, mut rng: StdRng) -> anyhow::Result<()> {
    let nodes: Vec<_> = scene.stage.nodes().collect();
    while scene.goes_on() {
        let node = nodes[rng.random_range(0..nodes.len())];
        let link = if rng.random_bool(0.6) { &node.to_postgres } else { &node.to_redis };
        let weather = match rng.random_range(0..6) {
            0 => Weather::Cut,
            1 => Weather::LosesRequests,
            2 => Weather::LosesAnswers,
            3 => Weather::Silent,
            4 => Weather::Narrow(rng.random_range(5_000..50_000)),
            _ => Weather::Slow(Duration::from_millis(rng.random_range(5..60))),
        };
        link.set(weather);
        sleep(Duration::from_millis(rng.random_range(200..1600))).await;
        link.set(Weather::Fair);
        scene
            .tally
            .add(if matches!(weather, Weather::Slow(_) | Weather::Narrow(_)) { "slow networks" } else { "cuts" }, 1);
        sleep(Duration::from_millis(rng.random_range(0..200))).await;
    }
    Ok(())
}
