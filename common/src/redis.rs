//! Redis: one connection that comes back by itself, and the names of the keys.

mod connection;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, IntoConnectionInfo, Msg, ProtocolVersion, PushInfo, PushKind, RedisResult};
use secrecy::ExposeSecret;

pub use self::connection::Connection;
use crate::config;
use crate::time::Timestamp;

/// How long the manager waits between tries to connect again. Few and short: a
/// caller would rather hear that Redis is away than wait for it.
const RECONNECT: Duration = Duration::from_millis(50);

/// A handle on Redis; cheap to clone. Nothing that it holds is the only copy of anything.
#[derive(Clone)]
pub struct Redis {
    connection: ConnectionManager,
    prefix: Arc<str>,
}

impl Redis {
    /// A handle that connects when it is first used.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn connect(settings: &config::Redis) -> RedisResult<Self> {
        Self::build(settings, manager_config(settings, |_| {}))
    }

    /// A handle that also hears what is published on the channels that it [subscribes](Self::subscribe) to.
    /// `hear` gets each message, and must not block.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn connect_listening(
        settings: &config::Redis,
        hear: impl Fn(&[u8]) + Send + Sync + 'static,
    ) -> RedisResult<Self> {
        let config = manager_config(settings, move |push| {
            if let Some(message) = Msg::from_push_info(push) {
                hear(message.get_payload_bytes());
            }
        });
        Self::build(settings, config.set_automatic_resubscription())
    }

    fn build(settings: &config::Redis, config: ConnectionManagerConfig) -> RedisResult<Self> {
        let info = settings.url.expose_secret().into_connection_info()?;
        let resp3 = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(resp3))?;
        let connection = ConnectionManager::new_lazy_with_config(client, config)?;
        Ok(Self { connection, prefix: settings.prefix.as_str().into() })
    }

    /// The connection, to send commands on.
    pub fn connection(&self) -> Connection {
        Connection::new(self.connection.clone())
    }

    /// The key of that name. All keys of a shop are in one slot of a cluster, so that scripts may touch several.
    pub fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.prefix)
    }

    /// Asks whether Redis is there.
    ///
    /// # Errors
    /// When it is not.
    pub async fn ping(&self) -> RedisResult<()> {
        redis::cmd("PING").query_async(&mut self.connection()).await
    }

    /// What Redis says about itself in one section of `INFO`, by name.
    ///
    /// # Errors
    /// When Redis is away, or does not tell everybody.
    pub async fn info(&self, section: &str) -> RedisResult<BTreeMap<String, String>> {
        let info: String = redis::cmd("INFO").arg(section).query_async(&mut self.connection()).await?;
        let pairs = info.lines().filter_map(|line| line.split_once(':'));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    }

    /// One of its settings, if it has that.
    ///
    /// # Errors
    /// When Redis is away, or does not tell everybody.
    pub async fn setting(&self, name: &str) -> RedisResult<Option<String>> {
        let mut found: BTreeMap<String, String> =
            redis::cmd("CONFIG").arg("GET").arg(name).query_async(&mut self.connection()).await?;
        Ok(found.remove(name))
    }

    /// What time it is there.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn time(&self) -> RedisResult<Timestamp> {
        let (seconds, micros): (i64, u32) = redis::cmd("TIME").query_async(&mut self.connection()).await?;
        Ok(Timestamp::from_timestamp(seconds, micros.saturating_mul(1_000)).unwrap_or_default())
    }

    /// What Redis does when its memory is full, for example `noeviction`.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn eviction_policy(&self) -> RedisResult<Option<String>> {
        Ok(self.info("memory").await?.remove("maxmemory_policy"))
    }

    /// Hears what is published on a channel from now on, also after a reconnect.
    ///
    /// # Errors
    /// When Redis is away; try again.
    pub async fn subscribe(&self, channel: &str) -> RedisResult<()> {
        self.connection.clone().subscribe(self.key(channel)).await
    }
}

/// How a connection behaves; `hear` gets what Redis sends without being asked, and must not block.
fn manager_config(
    settings: &config::Redis,
    hear: impl Fn(PushInfo) + Send + Sync + 'static,
) -> ConnectionManagerConfig {
    let timeout = Duration::from_millis(settings.timeout_ms);
    let on_push = move |push: PushInfo| -> Result<(), std::convert::Infallible> {
        if push.kind == PushKind::Disconnection {
            metrics::counter!("shop_redis_disconnects_total").increment(1);
        }
        hear(push);
        Ok(())
    };
    ConnectionManagerConfig::new()
        .set_push_sender(on_push)
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout))
        .set_number_of_retries(1)
        .set_min_delay(RECONNECT)
        .set_max_delay(RECONNECT)
}
