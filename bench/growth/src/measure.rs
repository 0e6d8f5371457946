//! What grows, one after the other, at each size in a shop of its own.

use std::iter::successors;

use anyhow::Context;
use shop_bench_kit::report::Report;
use shop_bench_kit::shop::Shop;

use crate::curves::Curves;
use crate::{Args, backlog, catalogue, chart, orders, sockets};

/// The smallest size.
const SMALLEST: usize = 1000;

/// Something that grows.
#[derive(Debug, Clone, Copy)]
enum Work {
    /// Products.
    Catalogue,
    /// Past orders.
    Orders,
    /// Jobs that wait for their time.
    Backlog,
    /// Open sockets.
    Sockets,
}

const WORKS: [Work; 4] = [Work::Catalogue, Work::Orders, Work::Backlog, Work::Sockets];

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Orders => "orders",
            Self::Backlog => "backlog",
            Self::Sockets => "sockets",
        }
    }

    /// How large it is, one after the other.
    fn sizes(self, largest: usize) -> Vec<usize> {
        match self {
            Self::Sockets => sockets::COUNTS.into_iter().filter(|count| *count <= largest).collect(),
            _ => successors(Some(SMALLEST), |size| Some(size * 10)).take_while(|size| *size <= largest).collect(),
        }
    }

    async fn measure(self, args: &Args, shop: &Shop, size: usize, curves: &mut Curves) -> anyhow::Result<()> {
        match self {
            Self::Catalogue => catalogue::measure(&args.options, shop, size, curves).await,
            Self::Orders => orders::measure(&args.options, shop, size, curves).await,
            Self::Backlog => backlog::measure(&args.options, shop, size, curves).await,
            Self::Sockets => sockets::measure(shop, size, curves).await,
        }
    }
}

/// Measures, prints the report, and draws the charts.
pub(crate) async fn measure(args: &Args) -> anyhow::Result<()> {
    let mut report = Report::begin("growth", &args.options).await?;
    report.set("largest", args.largest);
    let mut curves = Curves::begin(report);
    for run in 1..=args.options.runs.get() {
        for work in WORKS.into_iter().filter(|work| args.options.wants(work.name())) {
            for size in work.sizes(args.largest.get()) {
                eprintln!("run {run} of {}: {}, {size}", args.options.runs, work.name());
                let shop = Shop::open(&args.options).await?;
                let measured = work.measure(args, &shop, size, &mut curves).await;
                shop.close().await?;
                measured.with_context(|| format!("{}, {size}", work.name()))?;
            }
        }
    }
    curves.report().end(&args.options)?;
    std::fs::create_dir_all(&args.charts).context("making the folder for the charts")?;
    for (chart, curves) in curves.charts() {
        chart::draw(&args.charts, chart, curves).with_context(|| format!("drawing {}", chart.file))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_end_with_the_largest() {
        assert_eq!(Work::Orders.sizes(100_000), [1000, 10_000, 100_000]);
        assert_eq!(Work::Sockets.sizes(1000), [0, 500, 1000]);
    }
}
