//! Asks whether something answers: a TCP connection or one small HTTP GET.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// One question takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(20);

/// Whether somebody listens at `host:port`.
pub(crate) async fn listens(address: &str) -> bool {
    matches!(timeout(PATIENCE, TcpStream::connect(address)).await, Ok(Ok(_)))
}

/// Whether `GET /readyz` at `host:port` is answered with 200.
pub(crate) async fn is_ready(address: &str) -> bool {
    matches!(timeout(PATIENCE, get_status(address, "/readyz")).await, Ok(Ok(200)))
}

/// Waits until `GET /readyz` at `host:port` is answered with 200.
pub(crate) async fn until_ready(address: &str) {
    while !is_ready(address).await {
        sleep(PAUSE).await;
    }
}

/// Asks again and again, with a short pause, until the answer is `Some`.
pub(crate) async fn until<T>(mut question: impl AsyncFnMut() -> Option<T>) -> T {
    loop {
        if let Some(answer) = question().await {
            return answer;
        }
        sleep(PAUSE).await;
    }
}

/// The status code of a GET. HTTP/1.0 ends with the connection, which spares us
/// a client that understands lengths and chunks.
async fn get_status(address: &str, path: &str) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    // "HTTP/1.1 200" is all we want to know.
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    Ok(std::str::from_utf8(&start[9..])?.parse()?)
}

/// The `host:port` of a URL, or `None` if it does not name a TCP host (as with
/// a Unix socket).
pub(crate) fn address_of(url: &str, default_port: u16) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && !port.contains(']'));
    match host {
        "" => None,
        _ if has_port => Some(host.to_owned()),
        _ => Some(format!("{}:{default_port}", host.trim_end_matches(':'))),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn an_address_is_found_in_every_kind_of_url() {
        let address = |url| address_of(url, 5432);
        assert_eq!(address("postgres://a:b@db:6000/x").as_deref(), Some("db:6000"));
        assert_eq!(address("postgres://db/x").as_deref(), Some("db:5432"));
        assert_eq!(address("redis://:p@127.0.0.1:1?protocol=resp3").as_deref(), Some("127.0.0.1:1"));
        assert_eq!(address("postgres://[::1]/x").as_deref(), Some("[::1]:5432"));
        assert_eq!(address("postgres:///x?host=/tmp"), None);
        assert_eq!(address("nonsense"), None);
    }

    #[tokio::test]
    async fn only_a_200_counts_as_ready() {
        for (answer, ready) in [("HTTP/1.1 200 OK\r\n\r\n", true), ("HTTP/1.1 503 Away\r\n\r\n", false), ("", false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 256];
                let read = stream.read(&mut request).await.unwrap();
                assert!(request[..read].starts_with(b"GET /readyz HTTP/1.0\r\n"));
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
            assert_eq!(is_ready(&address).await, ready, "{answer:?}");
            server.await.unwrap();
        }
    }
}
