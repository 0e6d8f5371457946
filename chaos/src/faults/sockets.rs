//! F12: crowds of sockets that come back at once, and sockets that never read.

use std::time::Duration;

use anyhow::Context;
use futures::StreamExt;
use futures::future::join_all;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{client_async, connect_async};

use super::Scene;
use crate::stage::Node;

/// Sockets that come back at the same time.
const CROWD: usize = 1000;
/// Sockets that never read, and the bytes that the kernel takes for each: few, so that the api has to wait soon.
const NEVER_READING: usize = 60;
const RECEIVE_BUFFER: u32 = 4096;
/// Further connects for a socket that was turned away, and how long it waits in between.
const TRIES: usize = 40;
const TURNED_AWAY: Duration = Duration::from_secs(1);
/// How long a socket may take to hear of the first of its events.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a reader that never reads holds its socket, which the api has dropped by then.
const HELD: Duration = Duration::from_secs(10);
/// After that time an api has seen it all, and its memory may peak this much higher later than before.
const SETTLED: Duration = Duration::from_secs(60);
const GROWTH_MIB: u64 = 24;

/// F12.
pub(super) async fn crowd(scene: Scene, mut rng: StdRng) -> anyhow::Result<()> {
    let mut idlers = JoinSet::new();
    for n in 0..NEVER_READING {
        idlers.spawn(never_read(scene.clone(), n));
    }
    let memory = tokio::spawn(watch_memory(scene.clone()));
    while scene.goes_on() {
        let api = &scene.stage.apis[rng.random_range(0..scene.stage.apis.len())];
        let crowd = (0..CROWD).map(|n| come_back(&scene, api, n));
        let (back, turned_away) = join_all(crowd)
            .await
            .into_iter()
            .flatten()
            .fold((0, 0), |(back, turned), tries| (back + 1, turned + tries));
        scene.tally.add("sockets that came back", back);
        scene.tally.add("turned away for a while", turned_away);
        if back < CROWD as u64 {
            scene.load.journal.violation(format!("F12 {} of {CROWD} sockets did not come back", CROWD as u64 - back));
        }
        sleep(Duration::from_millis(rng.random_range(1000..3000))).await;
    }
    idlers.abort_all();
    memory.await??;
    Ok(())
}

fn request(scene: &Scene, api: &Node, n: usize) -> Option<Request> {
    // The first customers have watchers, which take places as well.
    let customer = &scene.stage.customers[2 + n % (scene.stage.customers.len() - 2)];
    let mut request = format!("{}/ws?since=0", api.url.replace("http", "ws")).into_client_request().ok()?;
    request.headers_mut().insert("Authorization", format!("Bearer {}", customer.token).parse().ok()?);
    Some(request)
}

/// Connects, however often it is turned away, and hears of the first event. Gives how often it was turned away.
async fn come_back(scene: &Scene, api: &Node, n: usize) -> Option<u64> {
    for tries in 0..TRIES {
        match connect_async(request(scene, api, n)?).await {
            Ok((mut socket, _)) => {
                let first = timeout(PATIENCE, socket.next()).await.ok()??.ok()?;
                return matches!(first, Message::Text(_)).then_some(tries as u64);
            }
            Err(Error::Http(answer)) if answer.status() == 503 => sleep(TURNED_AWAY).await,
            Err(_) => return None,
        }
    }
    None
}

/// Opens a socket, takes nothing that it is sent, and opens another later.
async fn never_read(scene: Scene, n: usize) {
    let api = &scene.stage.apis[n % scene.stage.apis.len()];
    while scene.goes_on() {
        if let Ok(()) = never_read_once(&scene, api, n).await {
            scene.tally.add("readers that never read", 1);
        }
        sleep(TURNED_AWAY).await;
    }
}

async fn never_read_once(scene: &Scene, api: &Node, n: usize) -> anyhow::Result<()> {
    let address = api.url.trim_start_matches("http://").parse()?;
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    let stream = socket.connect(address).await?;
    let (socket, _) = client_async(request(scene, api, n).context("no request")?, stream).await?;
    sleep(HELD).await;
    drop(socket);
    Ok(())
}

/// The memory of the apis is flat: it does not peak higher in the second half of the time than in the first, after
/// they have seen it all once. In a round that is shorter than that, only the judge looks at it.
async fn watch_memory(scene: Scene) -> anyhow::Result<()> {
    let begun = Instant::now() + SETTLED;
    let half = begun + scene.until.saturating_duration_since(begun) / 2;
    let mut peaks = vec![(0, 0); scene.stage.apis.len()];
    while scene.goes_on() {
        sleep(Duration::from_secs(1)).await;
        let now = Instant::now();
        if now < begun {
            continue;
        }
        for (api, (first, second)) in scene.stage.apis.iter().zip(&mut peaks) {
            let peak = if now < half { first } else { second };
            *peak = api.program.memory().unwrap_or(0).max(*peak);
        }
    }
    for (api, (first, second)) in scene.stage.apis.iter().zip(peaks) {
        scene.tally.most("highest memory of an api in the first half, MiB", first);
        scene.tally.most("highest memory of an api in the second half, MiB", second);
        if first > 0 && second > first + GROWTH_MIB {
            scene.load.journal.violation(format!("F12 {} had {first} MiB at most, later {second}", api.program.name));
        }
    }
    Ok(())
}
