//! How far an import is, on a terminal; elsewhere nothing is drawn.

use std::fmt::Write;
use std::io::Read;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use shop_common::products::import::Progress as Step;

const READING: &str = "{msg:10} {wide_bar} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left";
const READING_WITHOUT_END: &str = "{msg:10} {spinner} {binary_bytes}  {binary_bytes_per_sec}";
const ADDING: &str = "{msg:10} {wide_bar} {human_pos}/{human_len} lines  {rate}  {eta} left";
const WAITING: &str = "{msg:10} {spinner} {elapsed}";
const TICK: Duration = Duration::from_millis(120);

/// A bar on stderr.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// One that shows nothing yet.
    pub(crate) fn new() -> Self {
        Self(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()))
    }

    /// Shows how much of a file is read, and how long the rest may take.
    pub(crate) fn reading(&self, file: impl Read + Send + 'static, size: Option<u64>) -> impl Read + Send + 'static {
        self.show("reading", if size.is_some() { READING } else { READING_WITHOUT_END });
        if let Some(size) = size {
            self.0.set_length(size);
        }
        self.0.wrap_read(file)
    }

    /// Shows that the lines are compared with what is there.
    pub(crate) fn comparing(&self) {
        self.show("comparing", WAITING);
    }

    /// Shows how many of the products are written.
    pub(crate) fn writing(&self, step: Step) {
        match step {
            Step::Adding { lines, of } => {
                if self.0.message() != "adding" {
                    self.show("adding", ADDING);
                    self.0.set_length(of);
                }
                self.0.set_position(lines);
            }
            Step::Changing => self.show("changing", WAITING),
        }
    }

    /// Prints something while the bar is out of the way.
    pub(crate) fn aside<R>(&self, print: impl FnOnce() -> R) -> R {
        self.0.suspend(print)
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.0.disable_steady_tick();
        self.0.finish_and_clear();
    }

    fn show(&self, what: &'static str, template: &str) {
        // Also after it was taken away for a question.
        self.0.reset();
        // The templates are the constants above.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.0.set_style(style.with_key("rate", rate));
        self.0.set_message(what);
        self.0.enable_steady_tick(TICK);
    }
}

/// How many a second, without the decimals that nobody can read so fast.
fn rate(state: &ProgressState, text: &mut dyn Write) {
    // What cannot be shown is not shown.
    let _ = write!(text, "{:.0}/s", state.per_sec());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_can_be_read() {
        for template in [READING, READING_WITHOUT_END, ADDING, WAITING] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
