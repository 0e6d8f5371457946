//! The summary a person reads: what was planned, and what came out.

use std::fmt::Display;
use std::time::Duration;

use rust_decimal::Decimal;

use crate::outcome::{Outcome, per_second, percentile};
use crate::payment;
use crate::plan::Plan;
use crate::verify::Verified;

/// The most lines shown of one list of things gone wrong.
const SHOWN: usize = 10;

pub(crate) fn of_plan(plan: &Plan, payment_method: Option<&str>) -> String {
    let carts = plan.carts().count();
    let lines: usize = plan.carts().map(|(_, cart)| cart.items.len()).sum();
    let refused = plan.refused();
    let left_out: usize = plan.left_out.values().sum();
    let mut text = Text::default();

    text.title("Export");
    text.count("invoices read", plan.invoices.len());
    text.count("with lines that can be sold", carts);
    text.count("refused", refused.values().sum());
    text.counts(&refused);
    text.count("lines read", plan.lines);
    text.count("lines that are sold", lines);
    text.count("lines of refused invoices", plan.lines - lines - left_out);
    text.count("lines left out of sold invoices", left_out);
    text.counts(&plan.left_out);
    if plan.strays > 0 {
        text.count("rows that name no invoice", plan.strays);
    }

    text.title("Plan");
    text.count("products", plan.products.len());
    text.count("customers", plan.customers.iter().flatten().count());
    let guests = plan.carts().filter(|(_, cart)| plan.customers[cart.customer].is_none()).count();
    text.count("invoices of the guest account", guests);
    text.row("worth, by the export", money(plan.carts().map(|(_, cart)| cart.exported_total).sum()));
    text.row("worth, as charged", money(plan.carts().map(|(_, cart)| plan.total(cart)).sum()));
    text.note("orders are charged at the catalogue price, the most frequent price of each code");
    text.row("payment methods", "");
    let mut methods = std::collections::BTreeMap::new();
    for (invoice, _) in plan.carts() {
        let method = payment_method.unwrap_or_else(|| payment::method(&plan.invoices[invoice].number));
        *methods.entry(method).or_default() += 1;
    }
    text.counts(&methods);
    text.0
}

pub(crate) fn of_outcome(plan: &Plan, outcome: &Outcome) -> String {
    let mut text = Text::default();
    let refused = outcome.refused();
    let latencies = outcome.latencies();
    let took = outcome.placed.took;
    let lines = outcome.placed.orders(plan).map(|(_, cart)| cart.items.len()).sum();

    text.0 += "\n";
    text.title(&format!("Replay {}", outcome.run_id));
    text.count("placed", latencies.len());
    text.count("refused by the shop", refused.values().sum());
    text.counts(&refused);
    text.row("time to place", seconds(took));
    text.row("orders/s", rate(latencies.len(), took));
    text.row("lines/s", rate(lines, took));
    text.row("placement p50", percentile(&latencies, 50).map_or_else(|| "-".to_owned(), millis));
    text.row("placement p99", percentile(&latencies, 99).map_or_else(|| "-".to_owned(), millis));
    text.count("requests sent again", outcome.resent.values().sum());
    text.counts(&outcome.resent);

    text.title("Settlement");
    text.row("time to settle", seconds(outcome.settled.took));
    text.count("orders", latencies.len());
    text.counts(&outcome.statuses(plan));
    if !outcome.settled.failures.is_empty() {
        text.count("failures while asking", outcome.settled.failures.values().sum());
        text.counts(&outcome.settled.failures);
    }

    text.title("Checks");
    text.row(
        "stock",
        if outcome.stock.is_empty() {
            "right to the unit".to_owned()
        } else {
            format!("WRONG for {}", grouped(outcome.stock.len()))
        },
    );
    for wrong in outcome.stock.iter().take(SHOWN) {
        let found = wrong.found.as_ref().map_or_else(ToString::to_string, ToString::to_string);
        text.note(&format!("{}: {} expected, {found} found", wrong.code, wrong.expected));
    }
    match &outcome.verified {
        Verified::Ok => text.row("shopctl verify", "ok"),
        Verified::Skipped => text.row("shopctl verify", "SKIPPED: DATABASE_URL is not set"),
        Verified::Failed(said) => {
            text.row("shopctl verify", "FAILED");
            said.lines().for_each(|line| text.note(line));
        }
    }

    let problems = outcome.problems(plan);
    text.title(if problems.is_empty() { "Result: passed" } else { "Result: NOT passed" });
    for problem in problems {
        text.note(&problem);
    }
    text.0
}

/// Rows of a label and a value, under titles.
#[derive(Default)]
struct Text(String);

impl Text {
    fn title(&mut self, title: &str) {
        let gap = if self.0.trim().is_empty() { "" } else { "\n" };
        self.0 += &format!("{gap}{title}\n");
    }

    fn row(&mut self, label: &str, value: impl Display) {
        let row = format!("  {label:<46} {value:>14}");
        self.0 += row.trim_end();
        self.0 += "\n";
    }

    fn count(&mut self, label: &str, count: usize) {
        self.row(label, grouped(count));
    }

    /// What a count is made of, one step further in.
    fn counts<'a, K: Display + 'a>(&mut self, counts: impl IntoIterator<Item = (&'a K, &'a usize)>) {
        for (what, count) in counts {
            self.count(&format!("  {what}"), *count);
        }
    }

    fn note(&mut self, note: &str) {
        self.0 += &format!("    {note}\n");
    }
}

/// A number with commas between thousands.
fn grouped(number: impl Display) -> String {
    let digits = number.to_string();
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

fn money(amount: Decimal) -> String {
    grouped(format!("{amount:.2}"))
}

fn seconds(took: Duration) -> String {
    format!("{:.2} s", took.as_secs_f64())
}

fn millis(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1_000.0)
}

fn rate(count: usize, took: Duration) -> String {
    grouped(format!("{:.1}", per_second(count, took)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let shown: Vec<String> = [0, 999, 1_000, 16_459, 1_234_567].iter().map(grouped).collect();
        assert_eq!(shown, ["0", "999", "1,000", "16,459", "1,234,567"]);
        assert_eq!(money(Decimal::new(123_456_700, 2)), "1,234,567.00");
        assert_eq!(money(Decimal::new(5, 1)), "0.50");
    }
}
