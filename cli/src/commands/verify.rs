//! `shopctl verify`: whether every number adds up.

use shop_common::verify::{self, Finding, Ledger};

use crate::args::{Format, ShopArgs};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// Checks the invariants; fails with the rows that break one.
pub(crate) async fn run(args: &ShopArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.home.dir)?;
    let findings = verify::verify(&shop.pool, shop.ledger).await.map_err(database)?;
    let broken = findings.iter().filter(|finding| !finding.violations.is_empty()).count();
    match args.output {
        Format::Json => output::json(&findings)?,
        Format::Table => print(&findings)?,
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
