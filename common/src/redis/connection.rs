//! The connection to Redis, which counts what is sent on it.

use std::sync::LazyLock;
use std::time::Duration;

use metrics::{Counter, Histogram};
use redis::aio::{ConnectionLike, ConnectionManager};
use redis::{Cmd, Pipeline, RedisFuture, Value};

use crate::metrics::pending::Pending;

/// What is counted of each command; looked up once, because there are many.
static SENT: LazyLock<Sent> = LazyLock::new(|| Sent {
    ok: metrics::counter!("shop_redis_commands_total", "outcome" => "ok"),
    error: metrics::counter!("shop_redis_commands_total", "outcome" => "error"),
    abandoned: metrics::counter!("shop_redis_commands_total", "outcome" => "abandoned"),
    duration: metrics::histogram!("shop_redis_command_duration_seconds"),
});

struct Sent {
    ok: Counter,
    error: Counter,
    abandoned: Counter,
    duration: Histogram,
}

const OK: &str = "ok";
const ERROR: &str = "error";

fn record(outcome: &'static str, elapsed: Duration) {
    match outcome {
        OK => SENT.ok.increment(1),
        ERROR => SENT.error.increment(1),
        _ => SENT.abandoned.increment(1),
    }
    SENT.duration.record(elapsed);
}

/// One connection that comes back by itself; clones share it.
#[derive(Clone)]
pub struct Connection(ConnectionManager);

impl Connection {
    pub(super) fn new(manager: ConnectionManager) -> Self {
        Self(manager)
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let pending = Pending::new(record);
            let answer = self.0.req_packed_command(command).await;
            pending.end(if answer.is_ok() { OK } else { ERROR });
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let pending = Pending::new(record);
            let answer = self.0.req_packed_commands(pipeline, offset, count).await;
            pending.end(if answer.is_ok() { OK } else { ERROR });
            answer
        })
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}
