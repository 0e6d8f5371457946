//! Asks each server for each page, in turn, and notes what that cost it.

use std::time::Duration;

use anyhow::Context;
use shop_bench_kit::exchange::{Request, ask};
use shop_bench_kit::load;
use shop_bench_kit::process;
use shop_bench_kit::report::{Hope, Report};
use shop_bench_kit::server::Server;
use shop_bench_kit::shop::Shop;
use tokio::process::Command;

use crate::args::{MeasureArgs, Rival};

/// How long a server is asked before it counts.
const WARM: Duration = Duration::from_secs(1);
const SHOP: &str = "shop-api";
const CPU: &str = "µs of CPU per request";
const P99: &str = "µs at p99";

/// A page that is asked for.
struct Page {
    name: &'static str,
    path: String,
    conditional: bool,
    /// The part of hyper's rate, by processor time, that is hoped for.
    of_hyper: f64,
}

/// Measures, and prints the report.
pub(crate) async fn measure(args: &MeasureArgs) -> anyhow::Result<()> {
    let mut report = Report::begin("reads", &args.options).await?;
    report.set("connections", args.connections);
    let shop = Shop::open(&args.options).await?;
    let measured = runs(args, &shop, &mut report).await;
    shop.close().await?;
    measured?;
    report.end(&args.options)
}

async fn runs(args: &MeasureArgs, shop: &Shop, report: &mut Report) -> anyhow::Result<()> {
    let products = shop.products(1000, 100).await?;
    let product = format!("/products/{}", products.first().context("no products")?);
    let page = |name, path: &str, conditional, of_hyper| Page { name, path: path.to_owned(), conditional, of_hyper };
    let pages: Vec<Page> = [
        page("page of 20", "/products?take=20", false, 0.55),
        page("page of 20, 304", "/products?take=20", true, 0.65),
        page("product", &product, false, 0.55),
        page("product, 304", &product, true, 0.65),
    ]
    .into_iter()
    .filter(|page| args.options.wants(page.name))
    .collect();
    for run in 1..=args.options.runs.get() {
        for page in &pages {
            eprintln!("run {run} of {}: {}", args.options.runs, page.name);
            one_page(args, shop, page, report).await.with_context(|| page.name)?;
        }
    }
    for page in &pages {
        report.compare(page.name, CPU, [Rival::Hyper.name(), SHOP], Hope::AtLeast(page.of_hyper));
        report.compare(page.name, CPU, [Rival::Rocket.name(), SHOP], Hope::AtLeast(0.9));
        report.compare(page.name, P99, [SHOP, Rival::Hyper.name()], Hope::AtMost(2.0));
    }
    Ok(())
}

/// The api and then the rivals, which send what it has sent.
async fn one_page(args: &MeasureArgs, shop: &Shop, page: &Page, report: &mut Report) -> anyhow::Result<()> {
    let api = shop.api(&[]).await?;
    let answer = ask(api.port, &Request::get(&page.path, None)).await?;
    let tag = answer.headers.get("etag").filter(|_| page.conditional).map(String::as_str);
    anyhow::ensure!(tag.is_some() == page.conditional, "the answer has no ETag");
    let request = Request::get(&page.path, tag);
    let answer = ask(api.port, &request).await?;
    load(args, page.name, SHOP, &api, &request, report).await?;
    api.stop().await?;
    let mut file = tempfile::NamedTempFile::new()?;
    serde_json::to_writer(&mut file, &answer)?;
    for rival in [Rival::Hyper, Rival::Rocket] {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", rival.name()]).arg(file.path());
        let server = Server::start(command, "rival listens").await?;
        load(args, page.name, rival.name(), &server, &request, report).await?;
        server.kill().await?;
    }
    Ok(())
}

async fn load(
    args: &MeasureArgs,
    page: &'static str,
    name: &'static str,
    server: &Server,
    request: &Request,
    report: &mut Report,
) -> anyhow::Result<()> {
    let run = async |time| {
        let request = request.clone();
        load::run(server.port, args.connections.get(), time, &["200", "304"], move |_, _| request.clone()).await
    };
    run(WARM).await?;
    let before = process::cpu(server.pid)?;
    let loaded = run(Duration::from_secs(args.options.seconds.get() as u64)).await?;
    let cpu = process::cpu(server.pid)?.saturating_sub(before);
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    report.add(page, name, CPU, us(cpu) / loaded.latencies.count() as f64);
    report.add(page, name, "requests/s", loaded.per_second());
    report.add(page, name, "µs at p50", us(loaded.latencies.quantile(500)));
    report.add(page, name, P99, us(loaded.latencies.quantile(990)));
    Ok(())
}
