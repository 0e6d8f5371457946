//! Printing: data on stdout as a table or as JSON, notes for people on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use shop_common::time::Timestamp;

use crate::args::Format;

/// Prints data on stdout. A reader that has seen enough (`| head`) is no error.
pub(crate) fn data(text: impl Display) -> io::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints a note for people on stderr, where it never mixes with data.
pub(crate) fn note(text: impl Display) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "{}", harmless(&text.to_string()));
}

/// Prints one value: for people as `table` does.
pub(crate) fn one<T: Serialize>(
    format: Format,
    value: &T,
    table: impl FnOnce(&T) -> io::Result<()>,
) -> anyhow::Result<()> {
    match format {
        Format::Table => Ok(table(value)?),
        Format::Json => json(value),
        Format::Jsonl => line(value),
    }
}

/// Prints a list: for people a row for each item, under headers.
pub(crate) fn list<T: Serialize, const N: usize>(
    format: Format,
    items: &[T],
    headers: [&str; N],
    row: impl FnMut(&T) -> [String; N],
) -> anyhow::Result<()> {
    match format {
        Format::Table => Ok(table(headers, items.iter().map(row).collect())?),
        Format::Json => json(&items),
        Format::Jsonl => items.iter().try_for_each(line),
    }
}

/// Prints one value as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(data(serde_json::to_string_pretty(value)?)?)
}

/// Prints one value as JSON on a line.
pub(crate) fn line(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(data(serde_json::to_string(value)?)?)
}

/// Prints what is known of one thing, a line each.
pub(crate) fn facts(facts: &[(&str, String)]) -> io::Result<()> {
    let row = |(name, value): &(&str, String)| [(*name).to_owned(), value.clone()];
    table(["FIELD", "VALUE"], facts.iter().map(row).collect())
}

/// A moment, as tables show it. Their headers say that it is UTC.
pub(crate) fn time(at: &Timestamp) -> String {
    at.format("%F %T").to_string()
}

/// What there is, or a dash.
pub(crate) fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Prints rows under headers, without borders, so that `awk` can read them too.
pub(crate) fn table<const N: usize>(headers: [&str; N], rows: Vec<[String; N]>) -> io::Result<()> {
    data(rendered(headers, rows))
}

/// A text without what a terminal would obey: names and reasons come from strangers.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The same as a text.
pub(crate) fn rendered<const N: usize>(headers: [&str; N], rows: Vec<[String; N]>) -> String {
    let rows = rows.into_iter().map(|row| row.map(|cell| harmless(&cell.replace('\n', " "))));
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(headers).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// A bar that shows on stderr how far something is; off a terminal, and where nobody wants animation, it shows nothing.
pub(crate) fn bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    // A template that cannot be read would be a mistake of ours; the usual one will do.
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Whether what we print on stdout may be coloured: a terminal, and nobody
/// asked for plain text with `NO_COLOR`.
pub(crate) fn colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_write_cannot_command_a_terminal_or_break_a_row() {
        let rows = vec![["\u{1b}]52;c;eA==\u{7}eve\n\u{9b}2J".to_owned(), "x".to_owned()]];
        assert_eq!(rendered(["NAME", "Y"], rows).lines().nth(1), Some("\u{fffd}]52;c;eA==\u{fffd}eve \u{fffd}2J  x"));
    }

    #[test]
    fn a_table_is_plain_columns() {
        let rows = vec![["redis".to_owned(), "7".to_owned()], ["api-1".to_owned(), "12".to_owned()]];
        assert_eq!(rendered(["NAME", "PID"], rows), "NAME   PID\nredis  7\napi-1  12");
    }
}
