//! The rivals: servers that know one answer by heart.

use std::convert::Infallible;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rocket::fairing::AdHoc;
use rocket::http::{Header, Status};
use rocket::response::{self, Responder};
use rocket::{Request, Response, State, get, routes};
use shop_bench_kit::exchange::Answer;
use tokio::net::TcpListener;

use crate::args::Rival;

/// Serves until it is killed.
pub(crate) async fn serve(rival: Rival, exchange: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(exchange).context("reading the answer")?;
    let answer: Answer = serde_json::from_str(&text)?;
    match rival {
        Rival::Hyper => hyper(answer).await,
        Rival::Rocket => rocket(answer).await,
    }
}

/// As the benchmark waits for it.
fn ready(port: u16) {
    println!("{}", serde_json::json!({ "message": "rival listens", "port": port }));
}

async fn hyper(answer: Answer) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    ready(listener.local_addr()?.port());
    let mut builder = hyper::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        builder = builder.header(name, value);
    }
    let response = Arc::new(builder.body(Full::new(Bytes::from(answer.body)))?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let response = Arc::clone(&response);
        tokio::spawn(async move {
            let answer = service_fn(move |_| {
                let response = hyper::Response::clone(&response);
                async move { Ok::<_, Infallible>(response) }
            });
            // Whoever hangs up is gone.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

/// The answer, as Rocket knows it.
type Known = Arc<(Status, Vec<Header<'static>>, Bytes)>;

/// The same, on its way out.
struct Constant(Known);

impl<'r> Responder<'r, 'static> for Constant {
    fn respond_to(self, _: &'r Request<'_>) -> response::Result<'static> {
        let (status, headers, body) = &*self.0;
        let mut response = Response::build();
        response.status(*status);
        for header in headers {
            response.header(header.clone());
        }
        let bytes = body.clone();
        response.sized_body(bytes.len(), Cursor::new(bytes)).max_chunk_size(body.len().max(1)).ok()
    }
}

#[get("/<_path..>")]
fn constant(_path: PathBuf, answer: &State<Known>) -> Constant {
    Constant(Arc::clone(answer))
}

async fn rocket(answer: Answer) -> anyhow::Result<()> {
    let headers: Vec<Header<'static>> =
        answer.headers.into_iter().map(|(name, value)| Header::new(name, value)).collect();
    let answer = Arc::new((Status::new(answer.status), headers, Bytes::from(answer.body)));
    let figment = rocket::Config::figment()
        .merge(("port", 0))
        .merge(("ident", false))
        .merge(("log_level", "off"))
        .merge(("cli_colors", false));
    rocket::custom(figment)
        // The api has none either: it puts headers of its own.
        .attach(rocket::shield::Shield::new())
        .attach(AdHoc::on_liftoff("Ready", |rocket| Box::pin(async move { ready(rocket.config().port) })))
        .manage(answer)
        .mount("/", routes![constant])
        .launch()
        .await
        .map(drop)
        .map_err(|error| io::Error::other(error.to_string()).into())
}
