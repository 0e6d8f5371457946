//! JSON bodies, read into types that cannot be wrong.

use std::time::Duration;

use rocket::Request;
use rocket::data::{Data, FromData, Outcome, ToByteUnit};
use rocket::http::ContentType;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::catchers::{Refused, refusal};
use crate::error::ApiError;

/// So many objects and arrays may be inside each other; no body that means anything has more than three.
const MAX_NESTING: usize = 32;

/// How long a body may take to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyTime(pub(crate) Duration);

/// A JSON body. Unknown fields, wrong types and values out of range are refused with the place where they are.
pub(crate) struct Body<T>(pub(crate) T);

#[rocket::async_trait]
impl<'r, T: DeserializeOwned> FromData<'r> for Body<T> {
    type Error = Refused;

    async fn from_data(request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r, Self> {
        match read(request, data).await {
            Ok(body) => Outcome::Success(Self(body)),
            Err(error) => Outcome::Error(refusal(request, error)),
        }
    }
}

async fn read<T: DeserializeOwned>(request: &Request<'_>, data: Data<'_>) -> Result<T, ApiError> {
    if request.content_type().is_none_or(|content| *content != ContentType::JSON) {
        return Err(ApiError::NotJson);
    }
    let limit = request.limits().get("json").unwrap_or(256.kibibytes());
    let time = request.rocket().state().map_or(Duration::ZERO, |BodyTime(time)| *time);
    let bytes = tokio::time::timeout(time, data.open(limit).into_bytes())
        .await
        .map_err(|_| ApiError::RequestTimeout)?
        .map_err(|error| ApiError::BadRequest(error.to_string()))?;
    if !bytes.is_complete() {
        return Err(ApiError::TooLarge { limit: limit.to_string() });
    }
    // Before anything reads it: what serde_json says of its own limit cannot be told from what it says of bad syntax.
    if nesting(&bytes) > MAX_NESTING {
        return Err(ApiError::NestingTooDeep(MAX_NESTING));
    }
    let Object(body) = serde_json::from_slice(&bytes)
        .map_err(|error: serde_json::Error| ApiError::InvalidBody(without_values(&error.to_string())))?;
    Ok(body)
}

/// How many objects and arrays are inside each other. Of what is no JSON it is an estimate.
fn nesting(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in json {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// What serde says of a body without the values that it repeats: somebody may have put a password where a number
/// belongs, and errors end up in logs. Names of fields are repeated if they look like names.
fn without_values(said: &str) -> String {
    let plain = |name: &str| name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    for kind in ["invalid type: ", "invalid value: ", "unknown field ", "unknown variant "] {
        let Some((value, expected)) = said.strip_prefix(kind).and_then(|rest| rest.rsplit_once(", expected ")) else {
            continue;
        };
        let shown = match value.strip_prefix('`').and_then(|name| name.strip_suffix('`')) {
            Some(name) if kind == "unknown field " && plain(name) => value,
            // The word before the value says what it is: `string "…"`, `integer `…``.
            _ => value.split(['"', '`']).next().unwrap_or_default().trim_end(),
        };
        let shown = format!("{kind}{shown}");
        return format!("{}, expected {expected}", shown.trim_end());
    }
    said.to_owned()
}

/// A JSON object. Serde would read a struct from an array too, field by field.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        if !raw.get().starts_with('{') {
            return Err(D::Error::custom("an object is expected here"));
        }
        serde_json::from_str(raw.get()).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_counted_outside_of_texts() {
        for (json, depth) in [
            ("1", 0),
            ("{}", 1),
            (r#"{"items":[{"a":1},{"b":[2]}]}"#, 4),
            (r#"{"a":"[[[[","b":"\"[[["}"#, 1),
            (r#"["\\",[]]"#, 2),
            ("]]]][", 1),
            (r#"{"never closed [[["#, 1),
        ] {
            assert_eq!(nesting(json.as_bytes()), depth, "{json}");
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only whether it can be read matters")]
    struct Both {
        number: u8,
        text: String,
    }

    #[test]
    fn no_value_of_a_body_is_repeated() {
        for (json, says) in [
            (r#"{"number":"canary"}"#, "invalid type: string, expected u8 at line"),
            (r#"{"number":"canary\", expected \"canary"}"#, "invalid type: string, expected u8 at line"),
            (r#"{"text":4711}"#, "invalid type: integer, expected a string at line"),
            (r#"{"text":47.11}"#, "invalid type: floating point, expected a string at line"),
            (r#"{"number":4711}"#, "invalid value: integer, expected u8 at line"),
            (r#"{"canary-4711":1}"#, "unknown field, expected `number` or `text` at line"),
            (r#"{"`, expected `canary":1}"#, "unknown field, expected `number` or `text` at line"),
            (r#"{"role":"canary"}"#, "unknown field `role`, expected `number` or `text` at line"),
            (r#"{"text":{"canary":1}}"#, "invalid type: map, expected a string at line"),
            (r#"{"number":1,"text":canary}"#, "expected value at line"),
            (r#"["canary"]"#, "an object is expected here"),
        ] {
            let Err(error) = serde_json::from_str::<Object<Both>>(json) else { panic!("{json} was read") };
            let shown = without_values(&error.to_string());
            assert!(shown.starts_with(says), "{json}: {shown}");
            assert!(!shown.contains("canary") && !shown.contains("47"), "{json}: {shown}");
        }
    }
}
