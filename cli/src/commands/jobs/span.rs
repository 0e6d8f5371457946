//! Spans of time for people: exact where they are short, short where they are long.

use std::time::Duration;

/// A number of seconds as people read it: `12 ms`, `3.4 s`, `2m 5s`.
pub(crate) fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        let whole = Duration::try_from_secs_f64(seconds.round()).unwrap_or(Duration::MAX);
        humantime::format_duration(whole).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        let spans = [-1.0, 0.012, 3.44, 125.4, 90_000.0].map(span);
        assert_eq!(spans, ["0 ms", "12 ms", "3.4 s", "2m 5s", "1day 1h"]);
    }
}
