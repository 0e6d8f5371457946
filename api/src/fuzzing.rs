//! What must be so of requests and packets that clients write, whatever they write: see the module of the same name of
//! `shop_common`.

use bytes::Bytes;
use engineioxide::service::NotFoundService;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use socketioxide::SocketIo;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::service::SocketIoService;
use socketioxide_core::packet::{Packet, PacketData};
use socketioxide_core::parser::{Parse, ParseConfig, ParserState};
use socketioxide_core::{Str, Value};
use socketioxide_parser_common::CommonParser;
use tower_service::Service;

use crate::realtime::door::{MAX_MESSAGE_BYTES, PATH, has_session};
use crate::realtime::socket_io::Auth;
use crate::{client_address, etag};

/// `If-Match` and `If-None-Match`, a line for each header.
pub fn entity_tags(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        etag::fuzz(text);
    }
}

/// `X-Forwarded-For`, a line for each header.
pub fn forwarded_for(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        client_address::fuzz(text);
    }
}

/// Who is let in as somebody with a session gets no new one. The bytes are a query.
pub fn socketio_query(data: &[u8]) {
    let Ok(query) = str::from_utf8(data) else { return };
    let Some(uri) = address(query) else { return };
    let has_session = uri.query().is_some_and(has_session);
    at_server(async |server| {
        let session = open(server, uri).await;
        assert!(session.is_none() || !has_session, "a session was opened past the limits");
        if let Some(session) = session {
            post(server, &session, CLOSE).await;
        }
    });
}

/// No packet makes the server panic, or answer as if it were at fault; and what a client says of itself in a packet comes
/// back when it is written again. The bytes are what a client posts: packets with their types, apart by `\x1e`.
pub fn socketio_packet(data: &[u8]) {
    for packet in data.split(|byte| *byte == 0x1e).filter_map(|packet| str::from_utf8(packet).ok()) {
        if let Some(message) = packet.strip_prefix('4')
            && let Some(auth) = auth_of(message)
        {
            let json = serde_json::json!({ "token": &auth.token, "since": auth.since }).to_string();
            let packet = CommonParser.encode(Packet::connect("/orders", Some(Value::Str(json.into(), None))));
            let again = packet.as_str().and_then(|text| auth_of(text.as_str()));
            let again = again.map(|auth| (auth.token, auth.since));
            assert_eq!(again, Some((auth.token, auth.since)));
        }
    }
    at_server(async |server| {
        let Some(uri) = address(QUERY) else { return };
        let session = open(server, uri).await.unwrap_or_default();
        assert!(!session.is_empty(), "no session was opened");
        let status = post(server, &session, data).await;
        assert!(!status.is_server_error(), "{status}");
        post(server, &session, CLOSE).await;
    });
}

/// What a packet to connect says of who connects, as the api reads it.
fn auth_of(message: &str) -> Option<Auth> {
    let (config, state) = (ParseConfig::default(), ParserState::default());
    match CommonParser.decode_str(&config, &state, Str::copy_from_slice(message)).ok()?.inner {
        PacketData::Connect(auth) => CommonParser.decode_default::<Option<Auth>>(auth.as_ref()).ok()?,
        _ => None,
    }
}

type Server = SocketIoService<NotFoundService>;

/// With a server of its own for each input: what one leaves behind is not found by the next.
fn at_server(asks: impl AsyncFnOnce(&mut Server)) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    runtime.block_on(async {
        let (mut server, io) = SocketIo::builder().req_path(PATH).max_payload(MAX_MESSAGE_BYTES).build_svc();
        io.ns("/orders", async |_: SocketRef, TryData(_): TryData<Option<Auth>>| {});
        asks(&mut server).await;
    });
}

/// What a client asks with, before it has a session.
const QUERY: &str = "EIO=4&transport=polling";
/// The packet that ends a session, which otherwise would be kept for ever: its timer ends with its runtime.
const CLOSE: &[u8] = b"1";

/// Where the server is asked, unless the query can be in no address.
fn address(query: &str) -> Option<Uri> {
    format!("{PATH}/?{query}").parse().ok()
}

/// The id of the session that is opened, if one is.
async fn open(server: &mut Server, uri: Uri) -> Option<String> {
    let (status, body) = ask(server, Method::GET, uri, Bytes::new()).await;
    let opened = body.strip_prefix(b"0").filter(|_| status == StatusCode::OK)?;
    let opened: serde_json::Value = serde_json::from_slice(opened).ok()?;
    opened.get("sid")?.as_str().map(str::to_owned)
}

/// Posts packets, which go on in tasks, and gives the status of the answer.
async fn post(server: &mut Server, session: &str, packets: &[u8]) -> StatusCode {
    let Some(uri) = address(&format!("{QUERY}&sid={session}")) else { return StatusCode::BAD_REQUEST };
    let (status, _) = ask(server, Method::POST, uri, Bytes::copy_from_slice(packets)).await;
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    status
}

async fn ask(server: &mut Server, method: Method, uri: Uri, body: Bytes) -> (StatusCode, Bytes) {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    // Neither can fail: their errors are `Infallible`.
    let Ok(answer) = server.call(request).await;
    let (parts, body) = answer.into_parts();
    let Ok(body) = body.collect().await;
    (parts.status, body.to_bytes())
}

#[cfg(test)]
mod tests {
    use shop_testkit::seeds::feed;

    #[test]
    fn seeds_of_entity_tags_hold() {
        feed("entity_tags", super::entity_tags);
    }

    #[test]
    fn seeds_of_chains_of_proxies_hold() {
        feed("forwarded_for", super::forwarded_for);
    }

    #[test]
    fn seeds_of_socketio_queries_hold() {
        feed("socketio_query", super::socketio_query);
    }

    #[test]
    fn seeds_of_socketio_packets_hold() {
        feed("socketio_packet", super::socketio_packet);
    }
}
