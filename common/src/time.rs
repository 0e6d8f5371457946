//! Points in time, written as the reference backend writes them.

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

/// The time of this machine.
pub fn now() -> Timestamp {
    Utc::now()
}

/// Reads a point in time as people write it: of RFC 3339 (`2026-01-31T12:00:00Z`), a day (`2026-01-31`, its first instant,
/// UTC), or so long before `now` (`90s`, `30m`, `24h`, `7d`, `2w`). `None` for anything else.
pub fn read(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Some(day.and_time(NaiveTime::MIN).and_utc());
    }
    let unit = text.chars().next_back()?;
    let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    now.checked_sub_signed(TimeDelta::try_seconds(i64::from(number) * seconds)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_out_or_a_day_or_an_age() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        let now = at("2026-03-01T12:00:00Z");
        for (text, time) in [
            ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("90s", "2026-03-01T11:58:30Z"),
            ("30m", "2026-03-01T11:30:00Z"),
            ("24h", "2026-02-28T12:00:00Z"),
            ("7d", "2026-02-22T12:00:00Z"),
            ("2w", "2026-02-15T12:00:00Z"),
        ] {
            assert_eq!(read(text, now), Some(at(time)), "{text}");
        }
        for nonsense in ["", "h", "24", "-1h", "+1h", "1.5h", "1y", "1é", "yesterday", "2026-02-30", "99999999999d"] {
            assert_eq!(read(nonsense, now), None, "{nonsense:?}");
        }
    }
}
