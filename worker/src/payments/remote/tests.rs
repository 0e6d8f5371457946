//! What a gateway is told of the trace that its call belongs to.

use shop_common::trace::TraceParent;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A gateway that has given back what it is asked for, once. Gives the head of the request.
async fn asked(gateway: TcpListener) -> String {
    const ANSWER: &str = "{\"state\":\"refunded\"}";
    let (mut client, _) = gateway.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    client.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(head).unwrap()
}

async fn refund_in(context: Option<TraceContext>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = RemoteGateway::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let key = ChargeKey::from("key".to_owned());
    let refund = async {
        match context {
            Some(context) => trace::within(context, gateway.refund(&key)).await,
            None => gateway.refund(&key).await,
        }
    };
    let (head, outcome) = tokio::join!(asked(listener), refund);
    assert_eq!(outcome, RefundOutcome::Refunded);
    head
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn a_call_of_an_attempt_is_a_span_of_its_trace_and_the_gateway_is_told() {
    let attempt = TraceContext::read([PARENT], ["vendor=opaque"]).unwrap();

    let head = refund_in(Some(attempt.clone())).await;

    let told: TraceParent = header(&head, "traceparent").unwrap().parse().unwrap();
    assert_eq!((told.trace_id, told.sampled), (attempt.parent.trace_id, true));
    assert_ne!(told.span_id, attempt.parent.span_id, "the call is a span of its own");
    assert_eq!(header(&head, "tracestate"), Some("vendor=opaque"));
}

#[tokio::test]
async fn a_call_of_no_attempt_belongs_to_no_trace() {
    let head = refund_in(None).await;
    assert_eq!((header(&head, "traceparent"), header(&head, "tracestate")), (None, None));
}
