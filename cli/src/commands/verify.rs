//! `shopctl verify`: whether every number adds up, and what can be repaired.

use serde::Serialize;
use shop_common::db::Ending;
use shop_common::id::JobId;
use shop_common::repair::{self, Deed, Repair};
use shop_common::verify::{self, Finding, Ledger};
use utoipa::ToSchema;

use crate::args::Format;
use crate::args::verify::VerifyArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// What is printed: what was found, and with `--repair` also what was repaired.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Verified<'a> {
    Checked(&'a [Finding]),
    #[serde(rename_all = "camelCase")]
    Repaired {
        repairs: &'a [Repair],
        dry_run: bool,
        /// Not there when the database refused before it was asked.
        #[serde(skip_serializing_if = "Option::is_none")]
        findings: Option<&'a [Finding]>,
    },
}

impl Verified<'_> {
    fn print(&self) -> std::io::Result<()> {
        match self {
            Self::Checked(findings) => print(findings),
            Self::Repaired { repairs, findings, .. } => {
                print_repairs(repairs)?;
                findings.map_or(Ok(()), print)
            }
        }
    }
}

/// Repairs if that is asked for, and checks the invariants; fails with the rows that break one.
pub(crate) async fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let ending = if args.dry_run { Ending::DryRun } else { Ending::Commit };
    let repairs = if args.repair { Some(repair(&shop, ending, args.shop.output).await?) } else { None };
    let findings = verify::verify(&shop.pool, shop.ledger).await.map_err(database)?;
    let broken = findings.iter().filter(|finding| !finding.violations.is_empty()).count();
    let verified = match &repairs {
        None => Verified::Checked(&findings),
        Some(repairs) => Verified::Repaired { repairs, dry_run: args.dry_run, findings: Some(&findings) },
    };
    output::one(args.shop.output, &verified, Verified::print)?;
    if let Some(repairs) = repairs {
        let done = if args.dry_run { "would be repaired; nothing was done" } else { "repaired" };
        output::note(format!("{} orders {done}", repairs.len()));
    }
    if broken > 0 {
        return Err(Failure::new(Exit::Failed, format!("{broken} of {} checks found something wrong", findings.len()))
            .next("the rows above say what; stop selling the products they name until it is clear why"));
    }
    output::note("all is well");
    if shop.ledger == Ledger::Elsewhere {
        output::note("the gateway keeps its own ledger: `shopctl payments reconcile` compares it");
    }
    Ok(())
}

/// Prints what was repaired itself only where it does not come to the end.
async fn repair(shop: &Shop, ending: Ending, format: Format) -> Result<Vec<Repair>, Failure> {
    let mut repairs = Vec::new();
    let ended = repair::repair(&shop.pool, ending, &mut repairs).await;
    let due: Vec<JobId> =
        repairs.iter().filter(|repair| repair.deed != Deed::JobCancelled).map(|repair| repair.job).collect();
    if ending == Ending::Commit && !due.is_empty() {
        shop.enqueue(&due).await;
    }
    if let Err(error) = ended {
        let dry_run = ending == Ending::DryRun;
        let verified = Verified::Repaired { repairs: &repairs, dry_run, findings: None };
        output::one(format, &verified, Verified::print)?;
        let done = if ending == Ending::DryRun { "would be repaired; nothing was done" } else { "repaired" };
        output::note(format!("{} orders {done}, then the database refused", repairs.len()));
        return Err(database(error));
    }
    Ok(repairs)
}

fn print_repairs(repairs: &[Repair]) -> std::io::Result<()> {
    if repairs.is_empty() {
        return Ok(());
    }
    let row = |repair: &Repair| {
        let deed = match repair.deed {
            Deed::JobScheduled => "its job is scheduled again",
            Deed::JobMade => "a job is made for it",
            Deed::JobCancelled => "its job is cancelled",
        };
        [repair.order.to_string(), deed.to_owned(), repair.job.to_string()]
    };
    output::table(["ORDER", "REPAIR", "JOB"], repairs.iter().map(row).collect())?;
    output::data("")
}

fn print(findings: &[Finding]) -> std::io::Result<()> {
    let row = |finding: &Finding| {
        let state = if finding.violations.is_empty() { "ok" } else { "BROKEN" };
        [finding.invariant.to_owned(), state.to_owned(), finding.meaning.to_owned()]
    };
    output::table(["INVARIANT", "STATE", "MEANING"], findings.iter().map(row).collect())?;
    let violations: Vec<[String; 3]> = findings
        .iter()
        .flat_map(|finding| finding.violations.iter().map(|row| (finding.invariant, row)))
        .map(|(invariant, row)| [invariant.to_owned(), row.subject.clone(), row.detail.clone()])
        .collect();
    if violations.is_empty() {
        return Ok(());
    }
    output::data("")?;
    output::table(["INVARIANT", "ROW", "WHAT IS WRONG"], violations)
}
