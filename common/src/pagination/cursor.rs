//! Cursors: where a page ended, as a text that a client gives back to get the next one.
//!
//! A cursor is base64url of a small JSON array: a version, the [`Scope`] of its list, the value by which the last row
//! was sorted, and the row's id. It is opaque to clients, but no secret and not signed: all that a forged one can do
//! is begin elsewhere in a list that its owner may read anyway.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Direction;
use crate::time::Timestamp;

/// Of the form that is written here. One of another version is refused, and its client starts again.
const VERSION: u32 = 1;
/// Longer than any cursor: a product's name, by which lists can be sorted, has 200 characters.
const MAX_LENGTH: usize = 2048;

/// What a cursor belongs to: a list, what it is sorted by, which way, and its filter, as the start of their digest.
///
/// A cursor that was used with another filter would give a page that looks right, and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope(u64);

impl Scope {
    /// The scope of a list that is sorted and filtered so.
    pub fn of(list: &str, column: impl Serialize, direction: Direction, filter: &impl Serialize) -> Self {
        // Writing such values as JSON does not fail, and if it did, the cursors would be refused at the worst.
        let text = serde_json::to_vec(&(list, column, direction, filter)).unwrap_or_default();
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(&text));
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// What kind of values are in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is the id.
    Id,
    /// Whole numbers.
    Number,
    /// Texts.
    Text,
    /// Times.
    Time,
}

/// The value by which a row is sorted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Its id, which a position has anyway.
    Id,
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
    /// A time, with the microseconds that PostgreSQL has.
    Time(Timestamp),
}

/// Where a row is in a list: by the value that it is sorted by, and by its id among equals.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The value.
    pub value: Value,
    /// The id.
    pub id: Uuid,
}

/// Where a page ended, and of which list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    scope: Scope,
    position: Position,
}

/// A text that is no cursor, or one of another list, order or filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list in this order with these filters")]
pub struct InvalidCursor;

/// As it is written: version, scope, value, id.
#[derive(Serialize, Deserialize)]
struct Wire(u32, u64, serde_json::Value, Uuid);

impl Cursor {
    /// A cursor behind that row.
    pub fn new(scope: Scope, position: Position) -> Self {
        Self { scope, position }
    }

    /// Reads a cursor of that scope, and gives the row that it is behind.
    ///
    /// # Errors
    /// When it is none, or one of another scope.
    pub fn read(text: &str, scope: Scope, kind: Kind) -> Result<Position, InvalidCursor> {
        if text.len() > MAX_LENGTH {
            return Err(InvalidCursor);
        }
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        match serde_json::from_slice(&json) {
            Ok(Wire(VERSION, digest, value, id)) if digest == scope.0 => {
                let position = Position { value: Value::read(value, kind).ok_or(InvalidCursor)?, id };
                // In no other spelling than its own.
                if Self::new(scope, position.clone()).to_string() == text { Ok(position) } else { Err(InvalidCursor) }
            }
            _ => Err(InvalidCursor),
        }
    }
}

impl Value {
    /// Only what PostgreSQL takes: its texts have no NUL, and its times no years beyond what RFC 3339 can write.
    fn read(value: serde_json::Value, kind: Kind) -> Option<Self> {
        use serde_json::Value as Json;
        match (kind, value) {
            (Kind::Id, Json::Null) => Some(Self::Id),
            (Kind::Number, Json::Number(number)) => number.as_i64().map(Self::Number),
            (Kind::Text, Json::String(text)) if !text.contains('\0') => Some(Self::Text(text)),
            (Kind::Time, Json::Number(micros)) => DateTime::from_timestamp_micros(micros.as_i64()?)
                .filter(|time| (0..=9999).contains(&time.year()))
                .map(Self::Time),
            _ => None,
        }
    }

    fn wire(&self) -> serde_json::Value {
        match self {
            Self::Id => serde_json::Value::Null,
            Self::Number(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Time(time) => time.timestamp_micros().into(),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { value, id } = &self.position;
        let json = serde_json::to_vec(&Wire(VERSION, self.scope.0, value.wire(), *id)).map_err(|_| fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(json))
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCOPE: Scope = Scope(7);

    fn value() -> impl Strategy<Value = (Kind, Value)> {
        // The years 0 to 9999, in microseconds.
        let micros = -62_167_219_200_000_000..=253_402_300_799_999_999_i64;
        prop_oneof![
            Just((Kind::Id, Value::Id)),
            any::<i64>().prop_map(|number| (Kind::Number, Value::Number(number))),
            "[^\0]{0,200}".prop_map(|text| (Kind::Text, Value::Text(text))),
            micros.prop_map(|micros| (Kind::Time, Value::Time(DateTime::from_timestamp_micros(micros).unwrap()))),
        ]
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![Just(Kind::Id), Just(Kind::Number), Just(Kind::Text), Just(Kind::Time)]
    }

    fn encoded(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn a_cursor_is_good_for_its_own_list_order_and_filter_only() {
        let of = |list, column, direction, filter| Scope::of(list, column, direction, &filter);
        let own = of("products", "price", Direction::Ascending, Some(5));
        let position = Position { value: Value::Number(5), id: Uuid::nil() };
        let text = Cursor::new(own, position.clone()).to_string();

        assert_eq!(Cursor::read(&text, own, Kind::Number), Ok(position));
        for other in [
            of("orders", "price", Direction::Ascending, Some(5)),
            of("products", "stock", Direction::Ascending, Some(5)),
            of("products", "price", Direction::Descending, Some(5)),
            of("products", "price", Direction::Ascending, None),
        ] {
            assert_eq!(Cursor::read(&text, other, Kind::Number), Err(InvalidCursor));
        }
    }

    #[test]
    fn what_postgresql_would_not_take_or_nobody_wrote_is_no_cursor() {
        let id = Uuid::nil();
        for (kind, json) in [
            (Kind::Text, format!(r#"[1,7,"a\u0000b","{id}"]"#)),
            (Kind::Time, format!(r#"[1,7,{},"{id}"]"#, i64::MAX)),
            (Kind::Time, format!(r#"[1,7,{},"{id}"]"#, -62_167_219_200_000_001_i64)),
            (Kind::Number, format!(r#"[1,7,1.5,"{id}"]"#)),
            (Kind::Number, format!(r#"[1,7,9223372036854775808,"{id}"]"#)),
            (Kind::Id, format!(r#"[1,7,1,"{id}"]"#)),
            (Kind::Id, format!(r#"[2,7,null,"{id}"]"#)),
            (Kind::Id, format!(r#"[1,7,null,"{id}",0]"#)),
            (Kind::Id, format!(r#"[1,7,null,"{}"]"#, id.simple())),
        ] {
            assert_eq!(Cursor::read(&encoded(&json), SCOPE, kind), Err(InvalidCursor), "{json}");
        }
        assert!(Cursor::read(&encoded(&format!(r#"[1,7,null,"{id}"]"#)), SCOPE, Kind::Id).is_ok());
    }

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_was_written((kind, value) in value(), id: u128) {
            let position = Position { value, id: Uuid::from_u128(id) };
            let text = Cursor::new(SCOPE, position.clone()).to_string();
            prop_assert!(text.len() <= MAX_LENGTH);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(Cursor::read(&text, SCOPE, kind), Ok(position));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".*", kind in kind()) {
            let _ = Cursor::read(&text, SCOPE, kind);
        }

        #[test]
        fn no_json_makes_the_reader_panic(value in ".*", kind in kind()) {
            let json = format!(r#"[1,7,{value},"00000000-0000-0000-0000-000000000000"]"#);
            let _ = Cursor::read(&encoded(&json), SCOPE, kind);
        }
    }
}
