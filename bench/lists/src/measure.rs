//! Each page, asked for on both shops in turn.

use std::time::{Duration, Instant};

use anyhow::Context;
use sqlx::PgPool;

use crate::args::Args;
use crate::books::Books;
use crate::pages::{self, Asked};
use crate::plans::{self, Plans};

/// Pages are asked for so often before it counts, until they are in memory.
const WARM_UP: u32 = 3;

/// What was found out about a page.
pub(crate) struct Line {
    /// What it is.
    pub(crate) name: String,
    /// The median on the small shop, if it has such a page.
    pub(crate) small: Option<Duration>,
    /// The median on the large one.
    pub(crate) large: Duration,
    /// The large tables that were read from end to end for it.
    pub(crate) scanned: Vec<&'static str>,
}

/// Measures all pages.
pub(crate) async fn measure(args: &Args, small: &Books, large: &Books, plans: &Plans) -> anyhow::Result<Vec<Line>> {
    eprintln!("looking up where pages in the middle begin");
    let (on_small, on_large) = (pages::all(small).await?, pages::all(large).await?);
    let mut lines = Vec::new();
    for page in on_large {
        let same = on_small.iter().find(|other| other.name == page.name);
        let line = one(args, &page, &large.pool, same.map(|page| (page, &small.pool)))
            .await
            .with_context(|| page.name.clone())?;
        plans.take();
        page.ask(&large.telling).await?;
        let told = plans.take();
        anyhow::ensure!(!told.is_empty(), "PostgreSQL did not tell its plans");
        lines.push(Line { scanned: plans::scanned(&told), ..line });
    }
    Ok(lines)
}

async fn one(args: &Args, page: &Asked, pool: &PgPool, same: Option<(&Asked, &PgPool)>) -> anyhow::Result<Line> {
    let (mut large, mut small) = (Vec::new(), Vec::new());
    for sample in 0..args.samples.get() + WARM_UP {
        let counts = sample >= WARM_UP;
        let took = timed(page, pool).await?;
        large.extend(counts.then_some(took));
        if let Some((page, pool)) = same {
            let took = timed(page, pool).await?;
            small.extend(counts.then_some(took));
        }
    }
    Ok(Line {
        name: page.name.clone(),
        small: median(small),
        large: median(large).context("nothing was measured")?,
        scanned: Vec::new(),
    })
}

async fn timed(page: &Asked, pool: &PgPool) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    page.ask(pool).await?;
    Ok(begun.elapsed())
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}
