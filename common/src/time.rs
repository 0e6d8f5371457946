//! Points in time, written as the reference backend writes them.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};
use serde::Serializer;

/// A point in time, UTC.
pub type Timestamp = DateTime<Utc>;

/// Writes a time as JavaScript does, with milliseconds: `2026-01-31T12:00:00.000Z`.
pub fn millis<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(time))
}

/// The same of a time that may not have come.
pub fn optional_millis<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => millis(time, serializer),
        None => serializer.serialize_none(),
    }
}

/// The same as a text.
pub fn text(time: &Timestamp) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// So long before now, by the clock of this machine. `None` for a time before all times.
pub fn ago(age: Duration) -> Option<Timestamp> {
    Utc::now().checked_sub_signed(TimeDelta::from_std(age).ok()?)
}

/// Reads a point in time: of RFC 3339 (`2026-01-31T12:00:00Z`), or a day (`2026-01-31`, its first instant, UTC). `None` for
/// anything else.
pub fn read(text: &str) -> Option<Timestamp> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let day: NaiveDate = text.parse().ok()?;
    Some(day.and_time(NaiveTime::MIN).and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_out_or_a_day() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        assert_eq!(read("2026-01-31T12:00:00+02:00"), Some(at("2026-01-31T10:00:00Z")));
        assert_eq!(read("2026-01-31"), Some(at("2026-01-31T00:00:00Z")));
        for nonsense in ["", "yesterday", "2026-02-30", "2026-01-31T12:00:00", "24h"] {
            assert_eq!(read(nonsense), None, "{nonsense:?}");
        }
        assert_eq!(ago(Duration::MAX), None);
    }
}
