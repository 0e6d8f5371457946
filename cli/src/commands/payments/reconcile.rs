//! `shopctl payments reconcile`: the gateway's ledger against the shop's payments.

use std::time::{Duration, Instant};

use serde::Serialize;
use shop_common::id::AuditId;
use shop_common::jobs::{pause, workers};
use shop_common::payments::audit::{self, Action, Audit, Finding};
use utoipa::ToSchema;

use crate::args::ShopArgs;
use crate::commands::jobs::pause::since;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// How often to look whether the audit is over.
const LOOK: Duration = Duration::from_millis(200);
/// How long to wait for a worker to begin with it.
const PATIENCE: Duration = Duration::from_secs(30);

/// An audit and what it found.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Audited {
    #[serde(flatten)]
    audit: Audit,
    findings: Vec<Finding>,
}

/// Has a worker compare the books, and fails with the differences.
pub(crate) async fn reconcile(args: &ShopArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.home.dir)?;
    refuse_without_worker(&shop).await?;
    if let Some(pause) = pause::current(&shop.pool).await.map_err(database)? {
        return Err(Failure::new(Exit::Refused, format!("{}, and audits with it", since(&pause)))
            .next("`shopctl jobs resume` ends the pause"));
    }
    let id = audit::request(&shop.pool, "shopctl").await.map_err(database)?;
    let audited = finished(&shop, id).await?;
    output::one(args.output, &audited, |audited| print(&audited.findings))?;
    let Audited { audit: Audit { error, charges, .. }, findings } = audited;
    let found = findings.len();
    if let Some(error) = error {
        let exit = if error == audit::GATEWAY_AWAY { Exit::Away } else { Exit::Failed };
        return Err(Failure::new(exit, format!("the books could not be compared to their end: {error}"))
            .next("look at the worker's log; what was found so far is kept, and a later audit tries again"));
    }
    if found > 0 {
        return Err(Failure::new(Exit::Failed, format!("{found} differences, {charges} charges compared"))
            .next("what is `refunded` is done with; look at what is `reported` together with the gateway"));
    }
    output::note(format!("the books agree, {charges} charges compared"));
    Ok(())
}

/// Waits until an audit is over.
async fn finished(shop: &Shop, id: AuditId) -> Result<Audited, Failure> {
    let asked = Instant::now();
    loop {
        match audit::find(&shop.pool, id).await.map_err(database)? {
            Some((audit, findings)) if audit.finished_at.is_some() => return Ok(Audited { audit, findings }),
            Some((audit, _)) if audit.started_at.is_none() && asked.elapsed() > PATIENCE => {
                return Err(Failure::new(
                    Exit::Failed,
                    format!("no worker has begun with it in {} s", PATIENCE.as_secs()),
                )
                .next("another audit may be under way (see the workers' logs); this one waits, so ask again later"));
            }
            Some(_) => {}
            None => return Err(Failure::new(Exit::NotFound, "the audit is gone: the database was reset meanwhile")),
        }
        tokio::time::sleep(LOOK).await;
        refuse_without_worker(shop).await?;
    }
}

async fn refuse_without_worker(shop: &Shop) -> Result<(), Failure> {
    if workers::any_alive(&shop.pool, shop.lease).await.map_err(database)? {
        return Ok(());
    }
    Err(Failure::new(Exit::Away, "no worker is alive, and only a worker can ask the gateway")
        .next("start `shop-worker`, or the whole shop with `shopctl up`"))
}

fn print(findings: &[Finding]) -> std::io::Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    let row = |finding: &Finding| {
        let action = match finding.action {
            // The worker that was at it has died; the next audit ends it.
            Action::Refunding => "refunding, not ended",
            action => action.as_str(),
        };
        let kind = finding.kind.as_str().to_owned();
        [finding.charge_key.as_str().to_owned(), finding.amount.to_string(), kind, action.to_owned()]
    };
    output::table(["CHARGE", "AMOUNT", "FINDING", "ACTION"], findings.iter().map(row).collect())
}
