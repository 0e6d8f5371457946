//! The table.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::args::Args;
use crate::measure::Line;

/// A page of the large shop is to take so many times that of the small one at most.
const GOAL: f64 = 2.0;

/// The table, and what follows from it.
pub(crate) fn text(args: &Args, lines: &[Line]) -> String {
    let Args { products, orders, small, samples, .. } = args;
    let mut text = format!(
        "pages of 10; a small shop with {small} products and {small} orders, a large one with {products} and {orders}; \
         medians of {samples}, in ms\n\n{}\n\n",
        table(lines)
    );
    let above: Vec<&Line> = lines.iter().filter(|line| ratio(line).is_some_and(|ratio| ratio > GOAL)).collect();
    let compared = lines.iter().filter(|line| line.small.is_some()).count();
    // Writing to a string does not fail.
    let _ = writeln!(text, "{} of {compared} pages take at most {GOAL} times as long", compared - above.len());
    for line in lines.iter().filter(|line| !line.scanned.is_empty()) {
        let _ = writeln!(text, "SEQUENTIAL SCAN of {}: {}", line.scanned.join(", "), line.name);
    }
    if lines.iter().all(|line| line.scanned.is_empty()) {
        text.push_str("no sequential scan of products, orders, users or payments\n");
    }
    text
}

fn ratio(line: &Line) -> Option<f64> {
    line.small.map(|small| line.large.as_secs_f64() / small.as_secs_f64())
}

fn table(lines: &[Line]) -> String {
    let ms = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1000.0);
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["page", "small", "large", "ratio"]);
    for line in lines {
        let ratio = ratio(line).map_or("-".to_owned(), |ratio| format!("{ratio:.1}"));
        table.add_row([line.name.clone(), line.small.map_or("-".to_owned(), ms), ms(line.large), ratio]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn line(small: u64, large: u64, scanned: &[&'static str]) -> Line {
        let small = Some(Duration::from_millis(small));
        Line { name: "products".to_owned(), small, large: Duration::from_millis(large), scanned: scanned.to_vec() }
    }

    fn report(lines: &[Line]) -> String {
        text(&Args::parse_from(["lists", "--database-url", "postgres://h/d"]), lines)
    }

    #[test]
    fn the_goal_is_checked_by_the_ratio_of_the_medians() {
        let text = report(&[line(10, 20, &[]), line(10, 21, &[])]);
        assert!(text.contains("1 of 2 pages take at most 2 times as long\nno sequential scan"), "{text}");
    }

    #[test]
    fn a_sequential_scan_is_said() {
        let text = report(&[line(10, 20, &["orders"])]);
        assert!(text.ends_with("SEQUENTIAL SCAN of orders: products\n"), "{text}");
    }
}
