//! Clients that hang up, and programs that are told to go under load.

use std::time::Duration;

use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Scene;
use crate::stage::Program;

/// How long a program may take to leave.
const LEAVING: Duration = Duration::from_secs(15);

/// F7.
pub(super) async fn hang_up(scene: Scene, mut rng: StdRng) -> anyhow::Result<()> {
    let run: u32 = rng.random();
    let mut clients = JoinSet::new();
    for n in 0..16 {
        let (scene, mut rng) = (scene.clone(), StdRng::seed_from_u64(rng.random()));
        clients.spawn(async move {
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
    let programs: Vec<_> = scene.stage.nodes().collect();
    while scene.goes_on() {
        sleep(Duration::from_millis(rng.random_range(300..800))).await;
        let node = programs[rng.random_range(0..programs.len())];
        leaves_when_told(&scene, &node.program).await?;
        node.program.start(&[])?;
        scene.stage.serves(node).await?;
        scene.tally.add("SIGTERMs", 1);
    }
    clients.join_all().await;
    let decided: i64 = sqlx::query_scalar("SELECT count(*) FROM idempotency_keys WHERE key LIKE $1")
        .bind(format!("hang-{run}-%"))
        .fetch_one(&scene.stage.pool)
        .await?;
    scene.tally.add("hang-ups whose order was decided", u64::try_from(decided)?);
    Ok(())
}

/// A program that is told to go ends what it has in hand, and leaves well.
async fn leaves_when_told(scene: &Scene, program: &Program) -> anyhow::Result<()> {
    program.signal(Signal::SIGTERM);
    let told = Instant::now();
    loop {
        match program.ended() {
            Some(status) if status.success() => return Ok(()),
            Some(status) => {
                scene.load.journal.violation(format!("F7 told to go, {} left with {status}", program.name));
                return Ok(());
            }
            None if told.elapsed() > LEAVING => {
                scene.load.journal.violation(format!("F7 {LEAVING:?} after SIGTERM {} still ran", program.name));
                return Ok(());
            }
            None => sleep(Duration::from_millis(5)).await,
        }
    }
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
