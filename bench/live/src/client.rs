//! One socket: how it is opened, and what it hears until it is told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tokio_util::sync::CancellationToken;

use crate::wire::{Packet, Wire};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A server that has its hands full is asked again, so often, and after such a pause if it names none.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(200);
/// How long a server may take to open one socket.
const OPENING: Duration = Duration::from_secs(30);

/// What a socket has heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The number of each change, and when it came.
    pub(crate) changes: Vec<(usize, Instant)>,
    /// Why the socket ended early, or what it heard that it should not.
    pub(crate) trouble: Option<String>,
}

/// Opens a socket that hears of its user's changes.
pub(crate) async fn open(wire: Wire, port: u16, token: &str) -> anyhow::Result<Socket> {
    for _ in 0..TRIES {
        match timeout(OPENING, attempt(wire, port, token)).await.context("a socket takes too long to open")?? {
            Ok(socket) => return Ok(socket),
            Err(pause) => sleep(pause).await,
        }
    }
    bail!("a socket was turned away {TRIES} times")
}

/// If the server turns it away for now: how long to wait, as it says.
async fn attempt(wire: Wire, port: u16, token: &str) -> anyhow::Result<Result<Socket, Duration>> {
    let connected = match wire {
        Wire::Plain => connect(format!("ws://127.0.0.1:{port}/ws"), Some(token)).await,
        Wire::SocketIo => connect(format!("ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"), None).await,
    };
    let mut socket = match connected {
        Ok(socket) => socket,
        Err(Error::Io(_)) => return Ok(Err(PAUSE)),
        Err(Error::Http(answer)) if matches!(answer.status().as_u16(), 429 | 503) => {
            let seconds = answer.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.parse().ok());
            return Ok(Err(seconds.map_or(PAUSE, Duration::from_secs)));
        }
        Err(error) => return Err(error).context("opening a socket"),
    };
    if wire == Wire::SocketIo && !join(&mut socket, token).await? {
        return Ok(Err(PAUSE));
    }
    Ok(Ok(socket))
}

async fn connect(url: String, token: Option<&str>) -> Result<Socket, Error> {
    let mut request = url.into_client_request()?;
    if let Some(token) = token {
        request.headers_mut().insert("Authorization", format!("Bearer {token}").parse()?);
    }
    // Thousands of these are open here.
    let config = WebSocketConfig::default().read_buffer_size(4096);
    connect_async_with_config(request, Some(config), true).await.map(|(socket, _)| socket)
}

/// Joins the namespace of orders. `false` if it is full for now.
async fn join(socket: &mut Socket, token: &str) -> anyhow::Result<bool> {
    let opened = next(socket).await?;
    anyhow::ensure!(opened.starts_with("0{"), "not an Engine.IO server: {opened}");
    socket.send(Message::text(format!("40/orders,{}", json!({ "token": token })))).await?;
    let joined = next(socket).await?;
    if joined.starts_with("44/orders,") && joined.contains("overloaded") {
        return Ok(false);
    }
    anyhow::ensure!(joined.starts_with("40/orders,"), "not let into the namespace: {joined}");
    Ok(true)
}

/// The next packet that is no ping.
async fn next(socket: &mut Socket) -> anyhow::Result<String> {
    loop {
        match socket.next().await.context("the connection was closed")?? {
            Message::Text(ping) if ping == "2" => socket.send(Message::text("3")).await?,
            Message::Text(packet) => return Ok(packet.to_string()),
            _ => {}
        }
    }
}

/// Listens until told to stop, and counts what all sockets have heard. Pings of plain WebSockets
/// are answered by the library, those of Engine.IO here.
pub(crate) async fn listen(
    mut socket: Socket,
    wire: Wire,
    arrived: Arc<AtomicUsize>,
    stop: CancellationToken,
) -> Heard {
    let mut heard = Heard::default();
    loop {
        let message = tokio::select! {
            () = stop.cancelled() => return heard,
            message = socket.next() => message,
        };
        let answered = match message {
            Some(Ok(Message::Text(text))) => match wire.read(&text) {
                Packet::Change(number) => {
                    heard.changes.push((number, Instant::now()));
                    arrived.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                }
                Packet::Ping => socket.send(Message::text("3")).await.map_err(|error| error.to_string()),
                Packet::Other => Err(text.to_string()),
            },
            Some(Ok(Message::Close(frame))) => Err(format!("closed: {frame:?}")),
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("closed".to_owned()),
        };
        if let Err(trouble) = answered {
            heard.trouble = Some(trouble);
            return heard;
        }
    }
}
