//! The door from Rocket to the Socket.IO server, which is a tower service.
//!
//! Polling requests go through it with their bodies buffered; a WebSocket's stream is handed to it.

use std::io::Cursor;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use engineioxide::service::NotFoundService;
use http_body_util::{BodyExt, Full};
use rocket::data::{IoHandler, IoStream, ToByteUnit};
use rocket::http::{Header, Method, Status};
use rocket::outcome::Outcome;
use rocket::route::{Handler, Outcome as RouteOutcome, Route};
use rocket::{Data, Request, Response};
use socketioxide::service::SocketIoService;
use tower_service::Service;

use super::admission::Knock;
use super::impatient::Impatient;

/// Where the reference's clients look for it.
pub(crate) const PATH: &str = "/socket.io";

/// Clients have little to say here.
pub(crate) const MAX_MESSAGE_BYTES: u64 = 16 * 1024;

/// The server of Socket.IO: one for all requests.
#[derive(Clone)]
pub(super) struct Server {
    service: SocketIoService<NotFoundService>,
    /// How long a peer may take nothing before its connection breaks.
    patience: Duration,
}

impl Server {
    pub(super) fn new(service: SocketIoService<NotFoundService>, patience: Duration) -> Self {
        Self { service, patience }
    }
}

/// The routes below [`PATH`]: whatever is asked for there, the server decides.
pub(crate) fn routes() -> Vec<Route> {
    [Method::Get, Method::Post].map(|method| Route::new(method, "/<..>", Door)).to_vec()
}

/// What answers below [`PATH`].
#[derive(Clone)]
struct Door;

#[rocket::async_trait]
impl Handler for Door {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> RouteOutcome<'r> {
        let Some(server) = request.rocket().state::<Server>() else {
            return Outcome::Forward((data, Status::NotFound));
        };
        // Who has a session id was let in when it got that.
        let query = request.uri().query().map_or("", |query| query.as_str());
        if !has_session(query)
            && let Outcome::Error((status, _)) = request.guard::<Knock>().await
        {
            return Outcome::Error(status);
        }
        match request.guard::<rocket_ws::WebSocket>().await {
            Outcome::Success(socket) => upgrade(server.clone(), request, socket.accept_key().to_owned()),
            _ => poll(server.clone(), request, data).await,
        }
    }
}

/// Whether a query has a session id. The server's own way to look for one: if this one found an id where that one
/// does not, a new session would get past the limits.
pub(crate) fn has_session(query: &str) -> bool {
    query.split('&').any(|parameter| parameter.starts_with("sid="))
}

/// What the server reads of a request's headers. It keeps them for as long as the connection is open.
const READ: [&str; 5] = ["authorization", "connection", "content-type", "sec-websocket-key", "upgrade"];

/// The request as the server reads it.
fn translate<B>(request: &Request<'_>, body: B) -> Option<http::Request<B>> {
    let mut translated = http::Request::builder().method(request.method().as_str()).uri(request.uri().to_string());
    for header in READ {
        if let Some(value) = request.headers().get_one(header) {
            translated = translated.header(header, value);
        }
    }
    translated.body(body).ok()
}

fn upgrade<'r>(server: Server, request: &Request<'_>, accept_key: String) -> RouteOutcome<'r> {
    let Some(translated) = translate(request, ()) else { return Outcome::Error(Status::BadRequest) };
    let mut response = Response::build();
    response
        .raw_header("Sec-WebSocket-Version", "13")
        .raw_header("Sec-WebSocket-Accept", accept_key)
        .upgrade("websocket", Upgrade { server, request: translated });
    Outcome::Success(response.finalize())
}

type Stream = Impatient<IoStream>;

/// An upgraded connection on its way to the server.
struct Upgrade {
    server: Server,
    request: http::Request<()>,
}

#[rocket::async_trait]
impl IoHandler for Upgrade {
    async fn io(self: Pin<Box<Self>>, stream: IoStream) -> std::io::Result<()> {
        let Self { mut server, request } = *Pin::into_inner(self);
        let stream = Impatient::new(stream, server.patience);
        // It goes on in tasks of its own, and does not wait for the end.
        if let Err(error) = Service::<(Stream, http::Request<()>)>::call(&mut server.service, (stream, request)).await {
            tracing::debug!(%error, "a WebSocket of Socket.IO was not opened");
        }
        Ok(())
    }
}

async fn poll<'r>(mut server: Server, request: &'r Request<'_>, data: Data<'r>) -> RouteOutcome<'r> {
    let body = match data.open(MAX_MESSAGE_BYTES.bytes()).into_bytes().await {
        Ok(body) if body.is_complete() => body.into_inner(),
        Ok(_) => return Outcome::Error(Status::PayloadTooLarge),
        Err(_) => return Outcome::Error(Status::BadRequest),
    };
    let Some(translated) = translate(request, Full::new(Bytes::from(body))) else {
        return Outcome::Error(Status::BadRequest);
    };
    // It cannot fail: its error is `Infallible`.
    let Ok(answer) = Service::<http::Request<Full<Bytes>>>::call(&mut server.service, translated).await;
    let (parts, body) = answer.into_parts();
    let Ok(body) = body.collect().await;
    let body = body.to_bytes();
    let mut response = Response::build();
    response.status(Status::new(parts.status.as_u16())).sized_body(body.len(), Cursor::new(body));
    for (name, value) in &parts.headers {
        if let Ok(value) = value.to_str() {
            response.header(Header::new(name.as_str().to_owned(), value.to_owned()));
        }
    }
    Outcome::Success(response.finalize())
}
