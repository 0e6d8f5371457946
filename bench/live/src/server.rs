//! The servers that are measured, as child processes.

use std::path::{Path, PathBuf};

use shop_bench_kit::server::Server;
use shop_bench_kit::signer::{SECRET, TOKEN_SECONDS};
use tokio::process::Command;

use crate::args::Args;

/// The folder of the rival.
pub(crate) const RIVAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rival");

/// Says what is missing, before anything is measured.
pub(crate) fn check_programs(programs: &Path) -> anyhow::Result<()> {
    let api = api(programs);
    anyhow::ensure!(api.is_file(), "{} is not there: cargo build --release --locked -p shop-api", api.display());
    let modules = Path::new(RIVAL).join("node_modules/socket.io");
    anyhow::ensure!(modules.is_dir(), "the rival is not installed: npm ci --prefix {RIVAL}");
    Ok(())
}

fn api(programs: &Path) -> PathBuf {
    programs.join("shop-api")
}

/// Starts an api of the shop, on that database and under that prefix in Redis, with these settings besides.
pub(crate) async fn shop(
    args: &Args,
    database: &str,
    prefix: &str,
    settings: &[(&str, &str)],
) -> anyhow::Result<Server> {
    let mut command = Command::new(api(&args.programs));
    command
        .env("DATABASE_URL", database)
        .env("REDIS_URL", &args.redis_url)
        .env("ROCKET_DATABASES", format!("{{redis={{prefix=\"{prefix}\"}}}}"))
        .env("ROCKET_PROFILE", "development")
        .env("ROCKET_PORT", "0")
        .env("JWT_SECRET", SECRET)
        .env("ROCKET_AUTH", format!("{{token_seconds={TOKEN_SECONDS}}}"))
        .env("SHOP_LOG_FORMAT", "json")
        .env("SHOP_RATE_LIMITS", "off")
        .envs(settings.iter().copied());
    Server::start(command, "shop-api listens").await
}

/// Starts the rival, which hears of changes on that channel of Redis.
pub(crate) async fn rival(redis: &str, channel: &str) -> anyhow::Result<Server> {
    let mut command = Command::new("node");
    command
        .arg("server.mjs")
        .current_dir(RIVAL)
        .env("NODE_ENV", "production")
        .env("REDIS_URL", redis)
        .env("CHANNEL", channel)
        .env("PORT", "0")
        .env("JWT_SECRET", SECRET);
    Server::start(command, "rival listens").await
}
