//! Points in time, written as the reference backend writes them.

use chrono::{DateTime, SecondsFormat, Utc};
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
