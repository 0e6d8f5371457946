//! How far a command is that goes through many jobs, on a terminal; elsewhere nothing is drawn.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const COUNTED: &str = "{msg} {wide_bar} {human_pos}/{human_len}  {per_sec}  {eta} left";
const WAITING: &str = "{spinner} {msg}  {elapsed}";

/// A bar that counts up to so many.
pub(super) fn counted(what: &'static str, jobs: u64) -> ProgressBar {
    drawn(Some(jobs), COUNTED).with_message(what)
}

/// A wheel that turns while something is waited for.
pub(super) fn waiting() -> ProgressBar {
    let bar = drawn(None, WAITING);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn drawn(length: Option<u64>, template: &str) -> ProgressBar {
    // The templates are the constants above.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr()).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_can_be_read() {
        for template in [COUNTED, WAITING] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
