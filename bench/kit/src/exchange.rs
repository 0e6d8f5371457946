//! Requests and answers of HTTP/1.1, as bytes.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer, without what every server writes by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
}

/// A request of HTTP/1.1, byte for byte.
#[derive(Debug, Clone)]
pub struct Request(pub Vec<u8>);

impl Request {
    /// Asks for a page; with the tag that is known, if any.
    pub fn get(path: &str, tag: Option<&str>) -> Self {
        let condition = tag.map(|tag| format!("If-None-Match: {tag}\r\n")).unwrap_or_default();
        Self(format!("GET {path} HTTP/1.1\r\nHost: shop\r\nAccept: application/json\r\n{condition}\r\n").into_bytes())
    }

    /// Sends JSON, with these headers besides, each with its end of line.
    pub fn post(path: &str, headers: &str, json: &str) -> Self {
        let length = json.len();
        Self(
            format!(
                "POST {path} HTTP/1.1\r\nHost: shop\r\nAccept: application/json\r\n\
                 Content-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{json}"
            )
            .into_bytes(),
        )
    }
}

/// The length of the answer at the head of these bytes, with its head; nothing when the head is not whole.
///
/// # Errors
/// When the answer does not say how long it is.
pub fn length(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..head]).context("a head that is no text")?;
    if text.split(' ').nth(1) == Some("304") {
        return Ok(Some(head + 4));
    }
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    Ok(Some(head + 4 + length.context("an answer without a length")??))
}

/// Asks once, and reads the answer to its end.
///
/// # Errors
/// When there is no answer, or none that can be read.
pub async fn ask(port: u16, request: &Request) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(&request.0).await?;
    let mut bytes = Vec::new();
    loop {
        if let Some(whole) = length(&bytes)?
            && bytes.len() >= whole
        {
            return parse(std::str::from_utf8(&bytes)?);
        }
        anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "the server has hung up");
    }
}

/// Without what every server writes by itself.
fn parse(text: &str) -> anyhow::Result<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").context("no head")?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?.parse()?;
    let own = ["content-length", "date", "connection", "transfer-encoding"];
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .collect();
    Ok(Answer { status, headers, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_an_answer_is_known_when_its_head_is_there() {
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n").unwrap(), None);
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").unwrap(), Some(41));
        assert_eq!(length(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n").unwrap(), Some(48));
        assert!(length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn an_answer_is_kept_without_what_servers_add() {
        let answer = parse("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nDate: now\r\nContent-Length: 2\r\n\r\nab").unwrap();
        assert_eq!((answer.status, answer.body.as_str(), answer.headers.len()), (200, "ab", 1));
    }
}
