//! What is measured, one after the other, each in a shop of its own.

use anyhow::Context;
use shop_bench_kit::report::{Hope, Report};
use shop_bench_kit::shop::Shop;

use crate::memory::{AT_MOST, RESIDENT};
use crate::{Args, import, loads, memory, start};

/// The programs.
pub(crate) const API: &str = "shop-api";
pub(crate) const WORKER: &str = "shop-worker";
pub(crate) const SHOPCTL: &str = "shopctl";

/// Something that is measured.
#[derive(Debug, Clone, Copy)]
enum Work {
    /// From the start of the api to its first answers.
    ColdStart,
    /// From the start of a command to its end.
    Command,
    /// The memory of programs that nobody asks anything.
    Idle,
    /// The memory of the api under load.
    Load(loads::Load),
    /// The memory of the worker that works off a backlog.
    Backlog,
    /// A catalogue from a file.
    Import,
}

const WORKS: [Work; 9] = [
    Work::ColdStart,
    Work::Command,
    Work::Idle,
    Work::Load(loads::Load::Reads),
    Work::Load(loads::Load::Orders { clients: 32 }),
    Work::Load(loads::Load::Orders { clients: 256 }),
    Work::Load(loads::Load::Logins),
    Work::Backlog,
    Work::Import,
];

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::ColdStart => "cold start",
            Self::Command => "command",
            Self::Idle => "memory, idle",
            Self::Load(load) => load.name(),
            Self::Backlog => "memory, backlog of 10,000 jobs",
            Self::Import => "import",
        }
    }

    async fn measure(self, args: &Args, shop: &Shop, report: &mut Report) -> anyhow::Result<()> {
        match self {
            Self::ColdStart => start::api(&args.options, self.name(), shop, report).await,
            Self::Command => start::commands(&args.options, self.name(), shop, report).await,
            Self::Idle => memory::idle(self.name(), shop, report).await,
            Self::Load(load) => memory::under(&args.options, load, shop, report).await,
            Self::Backlog => memory::backlog(self.name(), shop, report).await,
            Self::Import => import::both(args, self.name(), shop, report).await,
        }
    }

    /// Holds what was measured against what it should be.
    fn judge(self, report: &mut Report) {
        let name = self.name();
        match self {
            Self::ColdStart => report.expect(name, API, start::FIRST_PAGE, Hope::AtMost(150.0)),
            Self::Command => report.expect(name, start::STATS, start::ENDED, Hope::AtMost(25.0)),
            Self::Idle => {
                report.expect(name, API, RESIDENT, Hope::AtMost(25.0));
                report.expect(name, WORKER, RESIDENT, Hope::AtMost(20.0));
            }
            Self::Load(loads::Load::Logins) => report.expect(name, API, AT_MOST, Hope::AtMost(100.0)),
            Self::Load(_) => report.expect(name, API, AT_MOST, Hope::AtMost(60.0)),
            Self::Backlog => report.expect(name, WORKER, AT_MOST, Hope::AtMost(40.0)),
            Self::Import => report.compare(name, import::RATE, [SHOPCTL, import::COPY], Hope::AtLeast(0.5)),
        }
    }
}

/// Measures, and prints the report.
pub(crate) async fn measure(args: &Args) -> anyhow::Result<()> {
    let mut report = Report::begin("footprint", &args.options).await?;
    report.set("rows", args.rows);
    let works: Vec<Work> = WORKS.into_iter().filter(|work| args.options.wants(work.name())).collect();
    for run in 1..=args.options.runs.get() {
        for work in &works {
            eprintln!("run {run} of {}: {}", args.options.runs, work.name());
            let shop = Shop::open(&args.options).await?;
            let measured = work.measure(args, &shop, &mut report).await;
            shop.close().await?;
            measured.context(work.name())?;
        }
    }
    for work in works {
        work.judge(&mut report);
    }
    report.end(&args.options)
}
