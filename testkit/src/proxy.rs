//! A TCP proxy before PostgreSQL that loses what a test wants lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to the next COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// It passes.
    Passes = 0,
    /// The connection breaks before the server has heard it.
    IsLost = 1,
    /// The server commits, and the connection breaks before its answer is there.
    LosesItsAnswer = 2,
}

/// A proxy; it ends with the test's runtime.
pub struct Proxy {
    next: Arc<AtomicU8>,
    /// A pool whose connections go through the proxy.
    pub pool: PgPool,
}

impl Proxy {
    /// A proxy before the server of that pool.
    pub async fn before(pool: &PgPool) -> Self {
        let options = (*pool.connect_options()).clone();
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let next = Arc::new(AtomicU8::new(Commit::Passes as u8));
        let fate = Arc::clone(&next);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(forward(client, server, Arc::clone(&fate)));
            }
        });
        let pool = PgPoolOptions::new().connect_with(options.host("127.0.0.1").port(port)).await.unwrap();
        Self { next, pool }
    }

    /// Decides what happens to the next COMMIT, and to that one only.
    pub fn next_commit(&self, fate: Commit) {
        self.next.store(fate as u8, Ordering::SeqCst);
    }
}

async fn forward(mut client: TcpStream, mut server: TcpStream, next: Arc<AtomicU8>) {
    let (mut from_client, mut from_server) = ([0; 65536], [0; 65536]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Some(bytes) = read.ok().filter(|n| *n > 0).map(|n| &from_client[..n]) else { return };
                let commits = bytes.windows(7).any(|window| window == b"COMMIT\0");
                let fate = if commits { next.swap(Commit::Passes as u8, Ordering::SeqCst) } else { Commit::Passes as u8 };
                if fate == Commit::IsLost as u8 {
                    return;
                }
                if server.write_all(bytes).await.is_err() {
                    return;
                }
                if fate == Commit::LosesItsAnswer as u8 {
                    // The answer is there, so the commit has happened; nobody gets it.
                    let _ = server.read(&mut from_server).await;
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Some(bytes) = read.ok().filter(|n| *n > 0).map(|n| &from_server[..n]) else { return };
                if client.write_all(bytes).await.is_err() {
                    return;
                }
            }
        }
    }
}
