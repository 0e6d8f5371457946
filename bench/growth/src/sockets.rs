//! What open sockets cost that nobody says anything on.

use std::time::Duration;

use anyhow::Context;
use futures::StreamExt;
use shop_bench_kit::process;
use shop_bench_kit::shop::Shop;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::curves::{Chart, Curves};
use crate::probe;

/// How many are open, one after the other.
pub(crate) const COUNTS: [usize; 5] = [0, 500, 1000, 2000, 4000];
const MEMORY: Chart = Chart {
    file: "sockets-memory",
    title: "Memory of an api, by its open sockets",
    x: "sockets",
    y: "MiB",
    by_tens: false,
};
const CPU: Chart = Chart {
    file: "sockets-cpu",
    title: "Processor time of an api that nobody asks, by its open sockets",
    y: "% of a core",
    ..MEMORY
};
const SUBJECT: &str = "shop-api";
/// How long the api is left alone before it is looked at.
const PAUSE: Duration = Duration::from_secs(2);
/// How long its processor time is counted: each socket is asked at least once whether it is still there.
const IDLE: Duration = Duration::from_secs(30);
/// How long a socket may take to open.
const OPENING: Duration = Duration::from_secs(30);

/// Opens sockets, each of a customer of its own, and looks at the api.
pub(crate) async fn measure(shop: &Shop, count: usize, curves: &mut Curves) -> anyhow::Result<()> {
    let customers = shop.customers(count).await?;
    let settings = [("SHOP_RATE_LIMITS", "off"), ("ROCKET_LIVE", "{connects_per_second=100000}")];
    let api = shop.api(&settings).await?;
    let mut sockets = JoinSet::new();
    for token in probe::tokens(shop, &customers).await? {
        open(api.port, &token, &mut sockets).await?;
    }
    sleep(PAUSE).await;
    let before = process::cpu(api.pid)?;
    sleep(IDLE).await;
    let cpu = process::cpu(api.pid)?.saturating_sub(before);
    curves.add(MEMORY, count, SUBJECT, process::memory(api.pid)? / 1024.0);
    curves.add(CPU, count, SUBJECT, 100.0 * cpu.as_secs_f64() / IDLE.as_secs_f64());
    anyhow::ensure!(sockets.try_join_next().is_none(), "a socket has ended");
    api.stop().await
}

/// Opens a socket that listens, and answers what asks whether it is still there.
async fn open(port: u16, token: &str, sockets: &mut JoinSet<()>) -> anyhow::Result<()> {
    let mut request = format!("ws://127.0.0.1:{port}/ws").into_client_request()?;
    request.headers_mut().insert("Authorization", format!("Bearer {token}").parse()?);
    // Thousands of these are open here.
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let opened = timeout(OPENING, connect_async_with_config(request, Some(config), true)).await;
    let (mut socket, _) = opened.context("a socket takes too long to open")??;
    sockets.spawn(async move { while let Some(Ok(_)) = socket.next().await {} });
    Ok(())
}
