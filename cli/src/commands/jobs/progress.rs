//! How far a command is that goes through many jobs, on a terminal; elsewhere nothing is drawn.

use std::time::Duration;

use indicatif::ProgressBar;

use crate::output;

const COUNTED: &str = "{msg} {wide_bar} {human_pos}/{human_len}  {per_sec}  {eta} left";
const WAITING: &str = "{spinner} {msg}  {elapsed}";

/// A bar that counts up to so many.
pub(super) fn counted(what: &'static str, jobs: u64) -> ProgressBar {
    let bar = output::bar(COUNTED).with_message(what);
    bar.set_length(jobs);
    bar
}

/// A wheel that turns while something is waited for.
pub(super) fn waiting() -> ProgressBar {
    let bar = output::bar(WAITING);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressStyle;

    use super::*;

    #[test]
    fn the_templates_can_be_read() {
        for template in [COUNTED, WAITING] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
