//! Prints a line for each status of one's orders, and comes back after a break.

use std::{env, error::Error, time::Duration};

use futures::StreamExt;
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (shop, token) = (env::var("SHOP")?, env::var("TOKEN")?);
    // The number of the last event; 0 asks for all.
    let mut last = 0;
    let mut delay = Duration::from_millis(500);
    loop {
        let mut request = format!("{}/ws?since={last}", shop.replacen("http", "ws", 1)).into_client_request()?;
        request.headers_mut().insert("Authorization", format!("Bearer {token}").parse()?);
        match connect_async(request).await {
            Ok((mut socket, _)) => {
                delay = Duration::from_millis(500);
                // The server pings each 25 s: after a minute without a word it is gone.
                while let Ok(Some(Ok(message))) = timeout(Duration::from_secs(60), socket.next()).await {
                    match message {
                        Message::Text(text) => last = show(&serde_json::from_str(&text)?).unwrap_or(last),
                        Message::Close(Some(end)) if u16::from(end.code) == 4401 => return Err("log in again".into()),
                        _ => {}
                    }
                }
            }
            Err(tungstenite::Error::Http(answer)) if answer.status() == 401 => return Err("log in again".into()),
            Err(error) => eprintln!("{error}"),
        }
        sleep(delay).await;
        delay = (delay * 2).min(Duration::from_secs(30));
    }
}

/// Shows a message, and gives its number.
fn show(message: &Value) -> Option<i64> {
    let (seq, data) = (message["seq"].as_i64()?, &message["data"]);
    match message["type"].as_str()? {
        "order.status" => println!("{seq} {} {}", data["id"].as_str()?, data["status"].as_str()?),
        "resync" => eprintln!("resync: ask GET /orders"),
        _ => {}
    }
    Some(seq)
}
