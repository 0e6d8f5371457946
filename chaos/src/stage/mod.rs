//! The shop under test: two apis, three workers, a gateway, servers of its own, and a network to spoil.

mod process;
mod program;
pub mod servers;

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::Client;
use serde_json::{Value, json};
use shop_testkit::link::{Link, Weather};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::time::{Instant, sleep};

pub use self::program::Program;
use self::servers::{Installed, Postgres, Redis};

/// How long a silent worker keeps its jobs, here: short, so that a round is short.
pub const LEASE: Duration = Duration::from_secs(2);
/// How long a program may take until it serves.
const PATIENCE: Duration = Duration::from_secs(40);
/// The password of everybody.
const PASSWORD: &str = "Corr3ct-horse-battery";

/// How large the disks of the servers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disks {
    /// As large as the machine's.
    Usual,
    /// Small file systems in memory, which can be filled. They have to be mounted, so this takes root.
    Small,
}

/// An api or a worker, and its own network to both servers.
#[derive(Debug)]
pub struct Node {
    /// The program.
    pub program: Program,
    /// The network between it and PostgreSQL.
    pub to_postgres: Link,
    /// The network between it and Redis.
    pub to_redis: Link,
    /// Where it answers.
    pub url: String,
}

/// Somebody who orders.
#[derive(Debug, Clone)]
pub struct Customer {
    /// Their id.
    pub id: uuid::Uuid,
    /// Their token.
    pub token: String,
}

/// Everything that runs.
#[derive(Debug)]
pub struct Stage {
    /// PostgreSQL.
    pub postgres: Postgres,
    /// Redis.
    pub redis: Redis,
    /// The gateway.
    pub gateway: Program,
    /// Where the gateway answers.
    pub gateway_url: String,
    /// The apis.
    pub apis: Vec<Node>,
    /// The workers.
    pub workers: Vec<Node>,
    /// A look into the books that nobody spoils.
    pub pool: PgPool,
    /// For requests.
    pub http: Client,
    /// Those who order.
    pub customers: Vec<Customer>,
    /// What they order; there is enough of each.
    pub products: Vec<String>,
    admin: String,
    shopctl: PathBuf,
    envs: Vec<(String, String)>,
    folder: PathBuf,
    // Dropped last: the servers keep their files in them.
    mounts: Vec<Mount>,
    _temporary: tempfile::TempDir,
}

impl Stage {
    /// Starts everything, with one of the planted bugs if one is named.
    ///
    /// # Errors
    /// When something does not come up.
    pub async fn build(installed: &Installed, disks: Disks, bug: Option<&str>) -> anyhow::Result<Self> {
        let temporary = tempfile::Builder::new().prefix("chaos-").tempdir()?;
        let folder = temporary.path().to_owned();
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let (mut mounts, mut disk) = (Vec::new(), folder.clone());
        if disks == Disks::Small {
            disk = folder.join("disk");
            fs::create_dir(&disk)?;
            for (name, size) in [("postgres", "320m"), ("redis", "24m")] {
                let mount = disk.join(name);
                fs::create_dir(&mount)?;
                let options = format!("size={size},mode=0700");
                let done = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&mount).status()?;
                ensure!(done.success(), "a small disk cannot be mounted, that takes root");
                mounts.push(Mount(mount));
            }
        }
        let postgres = Postgres::create(installed, &disk, &folder).await?;
        let redis = Redis::create(installed, &disk, &folder).await?;

        let gateway_port = free_port()?;
        let gateway_url = format!("http://127.0.0.1:{gateway_port}");
        let ledger = folder.join("gateway.jsonl");
        let gateway = Program::new(
            "gateway",
            beside_this("chaos-gateway")?,
            ["--ledger", &ledger.display().to_string(), "--port", &gateway_port.to_string()].map(str::to_owned).into(),
            Vec::new(),
            &folder,
        );
        gateway.start(&[])?;

        let mut envs: Vec<(String, String)> = [
            ("ROCKET_PROFILE", "development".to_owned()),
            ("JWT_SECRET", "0f9d2c7be8a1456394d7c0ab12ef5678".to_owned()),
            ("SHOP_RATE_LIMITS", "off".to_owned()),
            ("SHOP_LOG_FORMAT", "json".to_owned()),
            ("ROCKET_AUTH", "{token_seconds=86400}".to_owned()),
            // Few customers stand for many, and a reader that takes nothing is dropped soon enough to be seen.
            ("ROCKET_LIVE", "{sockets_per_user=400,slow_reader_ms=1000,connects_per_second=500}".to_owned()),
            ("ROCKET_SHUTDOWN", "{grace=2,mercy=1}".to_owned()),
            ("ROCKET_JOBS", "{base_ms=50,cap_ms=1000}".to_owned()),
            ("ROCKET_WORKER", format!("{{lease_ms={},concurrency=32,grace_ms=2000}}", LEASE.as_millis())),
            ("ROCKET_GATEWAY", format!("{{url=\"{gateway_url}\",timeout_ms=400}}")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if let Some(bug) = bug {
            envs.push(("SHOP_BREAK".to_owned(), bug.to_owned()));
        }
        let (mut apis, mut workers) = (Vec::new(), Vec::new());
        for n in 1..=2 {
            apis.push(node(&format!("api-{n}"), "chaos-api", &envs, &postgres, &redis, &folder).await?);
        }
        for n in 1..=3 {
            workers.push(node(&format!("worker-{n}"), "chaos-worker", &envs, &postgres, &redis, &folder).await?);
        }
        let pool = PgPoolOptions::new()
            .acquire_timeout(Duration::from_secs(60))
            .max_connections(8)
            .connect_lazy(&postgres.url())?;
        let mut stage = Self {
            shopctl: beside_this("shopctl")?,
            http: Client::builder().timeout(Duration::from_secs(15)).pool_max_idle_per_host(8).build()?,
            customers: Vec::new(),
            products: Vec::new(),
            admin: String::new(),
            _temporary: temporary,
            postgres,
            redis,
            gateway,
            gateway_url,
            apis,
            workers,
            pool,
            envs,
            folder,
            mounts,
        };
        stage.open().await?;
        Ok(stage)
    }

    /// Where the logs and the ledger are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The servers' disks, if they are small ones: PostgreSQL's, then Redis'.
    pub fn small_disks(&self) -> impl Iterator<Item = &Path> {
        self.mounts.iter().map(|mount| mount.0.as_path())
    }

    /// Apis and workers.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.apis.iter().chain(&self.workers)
    }

    /// Migrates, starts the programs, and lets customers and products in.
    async fn open(&mut self) -> anyhow::Result<()> {
        self.run_shopctl(&["migrate", "run"]).await?;
        self.run_shopctl(&["admin", "seed"]).await?;
        for node in self.nodes() {
            node.program.start(&[])?;
        }
        self.all_serve().await?;
        let login = json!({ "email": "admin@example.com", "password": "password" });
        self.admin = token(&self.ask("/login", None, &login).await?)?;
        for n in 0..20 {
            self.products.push(self.product(&format!("Product {n}"), 1_000_000).await?);
        }
        for n in 0..12 {
            let account = json!({ "email": format!("customer-{n}@example.com"), "password": PASSWORD });
            let token = token(&self.ask("/register", None, &account).await?)?;
            let id = sqlx::query_scalar("SELECT id FROM users WHERE email = $1")
                .bind(format!("customer-{n}@example.com"))
                .fetch_one(&self.pool)
                .await?;
            self.customers.push(Customer { id, token });
        }
        Ok(())
    }

    /// A new product, by the admin.
    ///
    /// # Errors
    /// When the api refuses it.
    pub async fn product(&self, name: &str, stock: i64) -> anyhow::Result<String> {
        let product = json!({ "name": name, "price": 2.5, "stock": stock });
        let made = self.ask("/products", Some(&self.admin), &product).await?;
        made["id"].as_str().map(str::to_owned).with_context(|| format!("no product: {made}"))
    }

    async fn ask(&self, path: &str, token: Option<&str>, body: &Value) -> anyhow::Result<Value> {
        let mut request = self.http.post(format!("{}{path}", self.apis[0].url)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Ok(request.send().await?.json().await?)
    }

    /// Runs shopctl on this shop, over a network that nobody spoils. Gives what it printed.
    ///
    /// # Errors
    /// When it cannot be run, or leaves with another code than 0.
    pub async fn run_shopctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.shopctl(arguments).output().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("shopctl {} left with {}: {}{said}", arguments.join(" "), output.status, errors);
        }
        Ok(said)
    }

    /// A command of shopctl on this shop.
    pub fn shopctl(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.shopctl);
        command
            .args(arguments)
            .envs(self.envs.iter().map(|(name, value)| (name, value)))
            .env("DATABASE_URL", self.postgres.url())
            .env("REDIS_URL", self.redis.url())
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Waits until every program serves.
    ///
    /// # Errors
    /// When one does not.
    pub async fn all_serve(&self) -> anyhow::Result<()> {
        let gateway = async || self.http.get(format!("{}/stats", self.gateway_url)).send().await.is_ok();
        until("the gateway serves", gateway).await?;
        for node in self.nodes() {
            self.serves(node).await?;
        }
        Ok(())
    }

    /// Waits until that program serves.
    ///
    /// # Errors
    /// When it does not.
    pub async fn serves(&self, node: &Node) -> anyhow::Result<()> {
        let url = format!("{}/readyz", node.url);
        let ready = async || self.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
        until(&format!("{} serves", node.program.name), ready).await
    }

    /// Tells the gateway how to misbehave; `{}` is not at all.
    ///
    /// # Errors
    /// When the gateway does not hear it.
    pub async fn gateway_faults(&self, faults: &Value) -> anyhow::Result<()> {
        self.http.post(format!("{}/faults", self.gateway_url)).json(faults).send().await?.error_for_status()?;
        Ok(())
    }

    /// Ends all faults: fair weather, servers up, every program running and none stopped.
    ///
    /// # Errors
    /// When something does not come back.
    pub async fn heal(&self) -> anyhow::Result<()> {
        self.postgres.start().await?;
        self.redis.start("noeviction").await?;
        for words in [["CONFIG", "SET", "maxmemory", "0"], ["CONFIG", "SET", "maxmemory-policy", "noeviction"]] {
            self.redis.command(&words).await?;
        }
        for node in self.nodes() {
            node.to_postgres.set(Weather::Fair);
            node.to_redis.set(Weather::Fair);
            node.to_postgres.lose_commits(0);
            node.to_postgres.lose_answers_to_commits(0);
            node.program.signal(nix::sys::signal::Signal::SIGCONT);
        }
        if self.gateway.id().is_none() {
            self.gateway.start(&[])?;
        }
        for node in self.nodes().filter(|node| node.program.id().is_none()) {
            node.program.start(&[])?;
        }
        self.all_serve().await?;
        self.gateway_faults(&json!({})).await
    }
}

/// A small disk; it is gone with the stage.
#[derive(Debug)]
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

async fn node(
    name: &str,
    program: &str,
    envs: &[(String, String)],
    postgres: &Postgres,
    redis: &Redis,
    logs: &Path,
) -> anyhow::Result<Node> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (to_postgres, to_redis) = (Link::to(at(postgres.port)).await?, Link::to(at(redis.port)).await?);
    let port = free_port()?;
    let mut envs = envs.to_vec();
    envs.push(("DATABASE_URL".to_owned(), servers::url(to_postgres.port, "shop")));
    envs.push(("REDIS_URL".to_owned(), format!("redis://127.0.0.1:{}/0", to_redis.port)));
    envs.push(("ROCKET_PORT".to_owned(), port.to_string()));
    let program = Program::new(name, beside_this(program)?, Vec::new(), envs, logs);
    Ok(Node { program, to_postgres, to_redis, url: format!("http://127.0.0.1:{port}") })
}

/// Waits until something is true.
///
/// # Errors
/// When it takes longer than [`PATIENCE`].
async fn until(what: &str, condition: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        ensure!(Instant::now() < deadline, "it never came true that {what}");
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// A program that was built together with this one.
fn beside_this(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "{} is not there, build it first", path.display());
    Ok(path)
}

/// A port that nobody listens on, that was not given out before, and that no outgoing connection is given: those
/// come from above 32,768.
fn free_port() -> std::io::Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = rand::random_range(10_000..32_000);
        if !lock(&GIVEN).insert(port) {
            continue;
        }
        match std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
}

fn token(answer: &Value) -> anyhow::Result<String> {
    answer["access_token"].as_str().map(str::to_owned).with_context(|| format!("no token: {answer}"))
}

/// A panic elsewhere leaves data that are still data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
