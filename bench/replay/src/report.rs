//! The report a program reads: the summary's numbers and the fate of every invoice, as JSON.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use crate::outcome::{Outcome, per_second, percentile};
use crate::plan::{Invoice, Plan};
use crate::verify::Verified;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    run_id: &'a str,
    passed: bool,
    problems: Vec<String>,
    invoices_read: usize,
    placed: usize,
    refused: BTreeMap<String, usize>,
    lines_left_out: BTreeMap<String, usize>,
    placing_seconds: f64,
    orders_per_second: f64,
    lines_per_second: f64,
    placement_p50_ms: Option<f64>,
    placement_p99_ms: Option<f64>,
    settling_seconds: f64,
    statuses: BTreeMap<&'a str, usize>,
    resent: &'a BTreeMap<String, usize>,
    products_with_wrong_stock: Vec<&'a str>,
    verify: &'static str,
    invoices: Vec<Fate<'a>>,
}

/// An invoice with either its order or the reason why there is none.
#[derive(Serialize)]
#[serde(untagged)]
enum Fate<'a> {
    Placed {
        invoice: &'a str,
        order: &'a str,
        status: &'a str,
        total: String,
    },
    Refused {
        invoice: &'a str,
        reason: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'a str>,
    },
}

pub(crate) fn write(path: &Path, plan: &Plan, outcome: &Outcome) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    serde_json::to_writer_pretty(&mut file, &report(plan, outcome))?;
    file.write_all(b"\n")?;
    Ok(file.flush()?)
}

fn report<'a>(plan: &'a Plan, outcome: &'a Outcome) -> Report<'a> {
    let problems = outcome.problems(plan);
    let latencies = outcome.latencies();
    let millis = |percent| percentile(&latencies, percent).map(|took| took.as_secs_f64() * 1_000.0);
    let took = outcome.placed.took;
    let lines = outcome.placed.orders(plan).map(|(_, cart)| cart.items.len()).sum();
    let invoices: Vec<Fate<'a>> =
        plan.invoices.iter().enumerate().map(|(at, invoice)| fate(at, invoice, outcome)).collect();
    let mut refused = BTreeMap::new();
    for fate in &invoices {
        if let Fate::Refused { reason, .. } = fate {
            *refused.entry(reason.clone()).or_default() += 1;
        }
    }
    Report {
        run_id: &outcome.run_id,
        passed: problems.is_empty(),
        problems,
        invoices_read: plan.invoices.len(),
        placed: latencies.len(),
        refused,
        lines_left_out: plan.left_out.iter().map(|(reason, count)| (reason.to_string(), *count)).collect(),
        placing_seconds: took.as_secs_f64(),
        orders_per_second: per_second(latencies.len(), took),
        lines_per_second: per_second(lines, took),
        placement_p50_ms: millis(50),
        placement_p99_ms: millis(99),
        settling_seconds: outcome.settled.took.as_secs_f64(),
        statuses: outcome.statuses(plan),
        resent: &outcome.resent,
        products_with_wrong_stock: outcome.stock.iter().map(|wrong| wrong.code.as_str()).collect(),
        verify: match outcome.verified {
            Verified::Ok => "ok",
            Verified::Failed(_) => "failed",
            Verified::Skipped => "skipped",
        },
        invoices,
    }
}

fn fate<'a>(at: usize, invoice: &'a Invoice, outcome: &'a Outcome) -> Fate<'a> {
    let number = invoice.number.as_str();
    match (&invoice.planned, outcome.placed.fates.get(&at).map(|fate| &fate.answer)) {
        (Err(reason), _) => Fate::Refused { invoice: number, reason: reason.to_string(), detail: None },
        (Ok(_), Some(Ok(order))) => Fate::Placed {
            invoice: number,
            order: &order.id,
            status: outcome.settled.status(&order.id),
            total: order.total.to_string(),
        },
        (Ok(_), Some(Err(failure))) => Fate::Refused {
            invoice: number,
            reason: format!("shop: {}", failure.reason),
            detail: Some(&failure.detail),
        },
        (Ok(_), None) => Fate::Refused { invoice: number, reason: "never sent".to_owned(), detail: None },
    }
}
