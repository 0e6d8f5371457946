//! Where was measured, and with which servers: numbers of one machine say little about another.

use std::{fs, thread};

use anyhow::Context;
use serde::Serialize;
use sqlx::{Connection, PgConnection};

use crate::options::Options;

/// The machine and the servers beside the shop.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Processors.
    pub cores: usize,
    /// What kind.
    pub cpu: String,
    /// The version of Linux.
    pub kernel: String,
    /// The version of PostgreSQL.
    pub postgres: String,
    /// What of it makes a commit durable.
    pub durability: String,
    /// The version of Redis.
    pub redis: String,
    /// How it keeps its data.
    pub redis_durability: String,
}

impl Machine {
    /// Looks where we are.
    ///
    /// # Errors
    /// When this is not Linux, or a server does not answer.
    pub async fn look(options: &Options) -> anyhow::Result<Self> {
        let cpus = fs::read_to_string("/proc/cpuinfo").context("this is not Linux")?;
        let mut postgres = PgConnection::connect(&options.database_url).await.context("reaching PostgreSQL")?;
        let (version, durability): (String, String) = sqlx::query_as(
            "SELECT current_setting('server_version'),
                    'fsync=' || current_setting('fsync') || ' synchronous_commit=' || current_setting('synchronous_commit')
                    || ' full_page_writes=' || current_setting('full_page_writes')",
        )
        .fetch_one(&mut postgres)
        .await?;
        postgres.close().await?;
        let redis = options.redis("")?;
        let info = redis.info("server").await.context("reaching Redis")?;
        let setting = async |name| anyhow::Ok(redis.setting(name).await?.unwrap_or_default());
        let (appendonly, appendfsync) = (setting("appendonly").await?, setting("appendfsync").await?);
        Ok(Self {
            cores: thread::available_parallelism()?.get(),
            cpu: field(&cpus, "model name").unwrap_or("unknown").to_owned(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            postgres: version,
            durability,
            redis: info.get("redis_version").cloned().unwrap_or_default(),
            redis_durability: format!("appendonly={appendonly} appendfsync={appendfsync}"),
        })
    }
}

/// The value of the first line `name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_with_and_without_space_before_its_colon() {
        assert_eq!(field("processor\t: 0\nmodel name\t: A chip\n", "model name"), Some("A chip"));
        assert_eq!(field("model name_of_more:1", "model name"), None);
    }
}
