//! How long programs take from their start until they have done something.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::ensure;
use shop_bench_kit::exchange::{Request, ask};
use shop_bench_kit::load::Latencies;
use shop_bench_kit::options::Options;
use shop_bench_kit::report::Report;
use shop_bench_kit::shop::Shop;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::sleep;

use crate::measure::{API, SHOPCTL};

/// Until a page of the catalogue is answered.
pub(crate) const FIRST_PAGE: &str = "ms until the first page";
/// Until a command has ended.
pub(crate) const ENDED: &str = "ms until it has ended";
/// The command that has to be quick.
pub(crate) const STATS: &str = "shopctl jobs stats";
/// How often each is started.
const STARTS: usize = 10;
const COMMANDS: usize = 20;
/// How often an api is asked whether it is there.
const EVERY: Duration = Duration::from_millis(1);
/// What does not start within this time never does.
const STARTING: Duration = Duration::from_secs(30);

/// Starts apis, one after the other.
pub(crate) async fn api(options: &Options, work: &str, shop: &Shop, report: &mut Report) -> anyhow::Result<()> {
    shop.products(1000, 100).await?;
    let (mut alive, mut useful) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let port = free_port().await?;
        let mut command = shop.program(&options.program(API)?, &[("ROCKET_PORT", &port.to_string())]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let begun = Instant::now();
        let mut api = command.spawn()?;
        alive.push(answered(port, "/livez", begun).await?);
        useful.push(answered(port, "/products?take=20", begun).await?);
        api.kill().await?;
    }
    report.add(work, API, "ms until /livez", median(alive));
    report.add(work, API, FIRST_PAGE, median(useful));
    Ok(())
}

/// Runs commands, each several times.
pub(crate) async fn commands(options: &Options, work: &str, shop: &Shop, report: &mut Report) -> anyhow::Result<()> {
    let program = options.program(SHOPCTL)?;
    for (name, arguments) in [("shopctl --version", ["--version"].as_slice()), (STATS, &["jobs", "stats"])] {
        let mut times = Vec::new();
        for _ in 0..COMMANDS {
            let mut command = shop.program(&program, &[]);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
            times.push(run(command).await?);
        }
        report.add(work, name, ENDED, median(times));
    }
    Ok(())
}

/// Runs a command to its end.
async fn run(mut command: Command) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let status = command.spawn()?.wait().await?;
    let took = begun.elapsed();
    ensure!(status.success(), "it has ended with {status}");
    Ok(took)
}

/// A port that nobody listens on.
async fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0)).await?.local_addr()?.port())
}

/// Asks until there is an answer, and gives how long that was after the beginning.
async fn answered(port: u16, path: &str, begun: Instant) -> anyhow::Result<Duration> {
    let request = Request::get(path, None);
    while begun.elapsed() < STARTING {
        // Nobody listens yet, or not everything is there.
        match ask(port, &request).await {
            Ok(answer) if answer.status == 200 => return Ok(begun.elapsed()),
            _ => sleep(EVERY).await,
        }
    }
    anyhow::bail!("{path} is not answered")
}

/// In milliseconds.
fn median(times: Vec<Duration>) -> f64 {
    Latencies::new(times).quantile(500).as_secs_f64() * 1e3
}
