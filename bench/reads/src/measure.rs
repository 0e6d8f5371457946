//! Asks each server for each page, in turn, and notes what that cost it.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use shop_bench_kit::process;
use shop_bench_kit::server::Server;
use tokio::process::Command;

use crate::args::{MeasureArgs, Rival};
use crate::exchange::{Request, ask};
use crate::load;
use crate::report::Report;
use crate::shop::Books;

/// How long a server is asked before it counts.
const WARM: Duration = Duration::from_secs(1);

/// What one server did in one run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sample {
    pub(crate) page: &'static str,
    pub(crate) server: &'static str,
    pub(crate) requests: usize,
    pub(crate) per_second: f64,
    /// Of the server's processor time, user and kernel.
    pub(crate) cpu_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// A page that is asked for.
struct Page {
    name: &'static str,
    path: String,
    conditional: bool,
}

/// All runs.
pub(crate) async fn measure(args: &MeasureArgs) -> anyhow::Result<Report> {
    let books = Books::open(&args.database_url).await?;
    let measured = runs(args, &books).await;
    books.close().await?;
    Ok(Report::of(args, measured?))
}

async fn runs(args: &MeasureArgs, books: &Books) -> anyhow::Result<Vec<Sample>> {
    let product = format!("/products/{}", books.product);
    let page = |name, path: &str, conditional| Page { name, path: path.to_owned(), conditional };
    let pages = [
        page("page of 20", "/products?take=20", false),
        page("page of 20, 304", "/products?take=20", true),
        page("product", &product, false),
        page("product, 304", &product, true),
    ];
    let mut samples = Vec::new();
    for run in 1..=args.runs.get() {
        for page in &pages {
            eprintln!("run {run} of {}: {}", args.runs, page.name);
            samples.extend(one_page(args, books, page).await.with_context(|| page.name)?);
        }
    }
    Ok(samples)
}

/// The api and then the rivals, which send what it has sent.
async fn one_page(args: &MeasureArgs, books: &Books, page: &Page) -> anyhow::Result<Vec<Sample>> {
    let api = books.api(args).await?;
    let answer = ask(api.port, &Request::get(&page.path, None)).await?;
    let tag = answer.headers.get("etag").filter(|_| page.conditional).map(String::as_str);
    anyhow::ensure!(tag.is_some() == page.conditional, "the answer has no ETag");
    let request = Request::get(&page.path, tag);
    let answer = ask(api.port, &request).await?;
    let mut samples = vec![load(args, page.name, "shop-api", &api, &request).await?];
    api.stop().await?;
    let folder = std::env::temp_dir().join(format!("reads-{}.json", std::process::id()));
    std::fs::write(&folder, serde_json::to_vec(&answer)?)?;
    for rival in [Rival::Hyper, Rival::Rocket] {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", rival.name()]).arg(&folder);
        let server = Server::start(command, "rival listens").await?;
        samples.push(load(args, page.name, rival.name(), &server, &request).await?);
        server.kill().await?;
    }
    std::fs::remove_file(&folder)?;
    Ok(samples)
}

async fn load(
    args: &MeasureArgs,
    page: &'static str,
    name: &'static str,
    server: &Server,
    request: &Request,
) -> anyhow::Result<Sample> {
    let connections = args.connections.get();
    load::run(server.port, request, connections, WARM).await?;
    let (begun, before) = (Instant::now(), process::cpu(server.pid)?);
    let latencies =
        load::run(server.port, request, connections, Duration::from_secs(args.seconds.get() as u64)).await?;
    let (elapsed, cpu) = (begun.elapsed(), process::cpu(server.pid)?.saturating_sub(before));
    let requests = latencies.count();
    anyhow::ensure!(requests > 0, "nothing was answered");
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    let sample = Sample {
        page,
        server: name,
        requests,
        per_second: requests as f64 / elapsed.as_secs_f64(),
        cpu_us: us(cpu) / requests as f64,
        p50_us: us(latencies.quantile(500)),
        p99_us: us(latencies.quantile(990)),
    };
    eprintln!("  {name}: {:.1} µs of CPU per request, {:.0} requests/s", sample.cpu_us, sample.per_second);
    Ok(sample)
}
