//! The network between a program and a server, as a TCP proxy that a test can spoil.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// How PostgreSQL's protocol spells a commit.
const COMMIT: &[u8] = b"COMMIT\0";

/// What the network does with what is sent over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// It passes.
    Fair,
    /// Every connection breaks, and new ones break at once.
    Cut,
    /// Nothing of what the program sends arrives; connections stay open.
    LosesRequests,
    /// Nothing of what the server sends arrives; connections stay open.
    LosesAnswers,
    /// Nothing arrives either way; connections stay open.
    Silent,
    /// Each piece that is sent takes so long.
    Slow(Duration),
    /// So many bytes a second pass each way, on each connection.
    Narrow(u32),
}

/// What happens to the next COMMITs.
#[derive(Debug, Default)]
struct Commits {
    /// So many break the connection before the server has heard them.
    lost: AtomicU32,
    /// So many are heard, and the connection breaks before the answer is there.
    unanswered: AtomicU32,
}

/// A proxy before one server; it ends with the runtime.
#[derive(Debug, Clone)]
pub struct Link {
    /// Where programs find it on 127.0.0.1.
    pub port: u16,
    weather: watch::Sender<Weather>,
    commits: Arc<Commits>,
}

impl Link {
    /// A link to that server, in fair weather.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn to(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let link = Self { port, weather: watch::Sender::new(Weather::Fair), commits: Arc::default() };
        let shared = link.clone();
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                let link = shared.clone();
                tokio::spawn(async move {
                    // A server that is away looks to the program like a connection that breaks.
                    if let Ok(server) = TcpStream::connect(server).await {
                        link.connect(client, server).await;
                    }
                });
            }
        });
        Ok(link)
    }

    /// Changes the weather, also for connections that are open.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// The next COMMITs do not arrive.
    pub fn lose_commits(&self, how_many: u32) {
        self.commits.lost.store(how_many, Ordering::SeqCst);
    }

    /// The next COMMITs arrive, their answers do not. Gives how many of the last were left over.
    pub fn lose_answers_to_commits(&self, how_many: u32) -> u32 {
        self.commits.unanswered.swap(how_many, Ordering::SeqCst)
    }

    async fn connect(&self, client: TcpStream, server: TcpStream) {
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let mute = AtomicBool::new(false);
        let lost = |weather: Weather| matches!(weather, Weather::LosesRequests | Weather::Silent);
        let requests = self.carry(from_client, to_server, lost, |bytes| {
            let commits = bytes.windows(COMMIT.len()).any(|window| window == COMMIT);
            if commits && take_one(&self.commits.lost) {
                return false;
            }
            if commits && take_one(&self.commits.unanswered) {
                mute.store(true, Ordering::SeqCst);
            }
            true
        });
        let lost = |weather: Weather| matches!(weather, Weather::LosesAnswers | Weather::Silent);
        let answers = self.carry(from_server, to_client, lost, |_| !mute.load(Ordering::SeqCst));
        // Whichever way ends first, the connection is broken both ways.
        tokio::select! {
            () = requests => {}
            () = answers => {}
            () = self.is_cut() => {}
        }
    }

    async fn is_cut(&self) {
        let mut weather = self.weather.subscribe();
        // The sender lives as long as the link.
        let _ = weather.wait_for(|weather| *weather == Weather::Cut).await;
    }

    /// Carries bytes one way, until an end closes or `passes` says that this piece breaks the connection.
    async fn carry(
        &self,
        mut from: impl AsyncReadExt + Unpin,
        mut to: impl AsyncWriteExt + Unpin,
        is_lost: impl Fn(Weather) -> bool,
        passes: impl Fn(&[u8]) -> bool,
    ) {
        let mut weather = self.weather.subscribe();
        let mut buffer = vec![0; 65536];
        loop {
            let read = match from.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) => read,
            };
            // TCP loses nothing for good: what is held back arrives when the weather is better.
            let Ok(now) = weather.wait_for(|weather| !is_lost(*weather)).await.map(|weather| *weather) else { return };
            match now {
                Weather::Slow(delay) => sleep(delay).await,
                #[allow(clippy::cast_precision_loss, reason = "a piece has 64 KiB at most")]
                Weather::Narrow(rate) => sleep(Duration::from_secs_f64(read as f64 / f64::from(rate.max(1)))).await,
                _ => {}
            }
            if !passes(&buffer[..read]) || to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    }
}

fn take_one(counter: &AtomicU32) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}
