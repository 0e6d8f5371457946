//! Where was measured, and with which versions: numbers of one machine say little about another.

use std::path::Path;
use std::{fs, thread};

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;
use shop_common::config;
use shop_common::redis::Redis;
use sqlx::{Connection, PgConnection};
use tokio::process::Command;

use crate::args::Args;
use crate::server::RIVAL;

/// The machine and the programs beside the shop.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) cpu: String,
    pub(crate) kernel: String,
    pub(crate) node: String,
    pub(crate) socket_io: String,
    pub(crate) ws: String,
    pub(crate) postgres: String,
    pub(crate) redis: String,
}

/// Looks where we are.
pub(crate) async fn look(args: &Args) -> anyhow::Result<Machine> {
    let cpus = fs::read_to_string("/proc/cpuinfo").context("this is not Linux")?;
    let node = Command::new("node").arg("--version").output().await.context("cannot run node")?;
    Ok(Machine {
        cores: thread::available_parallelism()?.get(),
        cpu: field(&cpus, "model name").unwrap_or("unknown").to_owned(),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        node: String::from_utf8_lossy(&node.stdout).trim().trim_start_matches('v').to_owned(),
        socket_io: package("socket.io")?,
        ws: package("ws")?,
        postgres: postgres_version(&args.database_url).await?,
        redis: redis_version(&args.redis_url).await?,
    })
}

/// The value of the first line `name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim()))
}

/// The version of a package that the rival has installed.
fn package(name: &str) -> anyhow::Result<String> {
    let path = Path::new(RIVAL).join("node_modules").join(name).join("package.json");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let package: Value = serde_json::from_str(&text)?;
    Ok(package["version"].as_str().unwrap_or("unknown").to_owned())
}

async fn postgres_version(url: &str) -> anyhow::Result<String> {
    let mut connection = PgConnection::connect(url).await.context("reaching PostgreSQL")?;
    let version: String = sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(version)
}

async fn redis_version(url: &str) -> anyhow::Result<String> {
    let settings = config::Redis { url: url.into(), prefix: String::new(), timeout_ms: 5000 };
    let mut connection = Redis::connect(&settings)?.connection();
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await.context("reaching Redis")?;
    Ok(field(&info, "redis_version").unwrap_or("unknown").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_with_and_without_space_before_its_colon() {
        assert_eq!(field("processor\t: 0\nmodel name\t: A chip\n", "model name"), Some("A chip"));
        assert_eq!(field("# Server\r\nredis_version:8.0.2\r\n", "redis_version"), Some("8.0.2"));
        assert_eq!(field("redis_version_of_more:1", "redis_version"), None);
    }
}
