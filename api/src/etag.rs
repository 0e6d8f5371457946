//! Entity tags: answers that need not be sent again, and edits that need not be lost (RFC 9110, 8.8.3 and 13.1).
//!
//! The parser is written here because the `headers` crate keeps the tags of a list to itself, where a transaction
//! has to compare them, and a debug build of it panics on a tag with a space.

use std::fmt::Write as _;
use std::io::Cursor;

use bytes::Bytes;
use rocket::Request;
use rocket::http::{ContentType, Header, Method, Status};
use rocket::request::{FromRequest, Outcome};
use rocket::response::{self, Responder, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};
use shop_common::products::{Expected, Versioned};

use crate::catchers::{Refused, refuse};
use crate::error::ApiError;

/// How many bytes of a digest are in a tag: enough that no two answers ever share one by chance.
const DIGEST_BYTES: usize = 16;

/// An entity tag as a client sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EntityTag<'r> {
    weak: bool,
    opaque: &'r str,
}

/// What `If-Match` and `If-None-Match` name.
#[derive(Debug, PartialEq, Eq)]
enum Tags<'r> {
    /// `*`: whatever there is.
    Any,
    /// These.
    Listed(Vec<EntityTag<'r>>),
}

/// A header is neither `*` nor a list of entity tags.
#[derive(Debug, PartialEq, Eq)]
struct Malformed;

impl<'r> Tags<'r> {
    /// Reads all headers of that name as the one list that they are together. Gives `None` without any.
    fn of(request: &'r Request<'_>, header: &str) -> Result<Option<Self>, Malformed> {
        let mut lines = request.headers().get(header).peekable();
        if lines.peek().is_none() {
            return Ok(None);
        }
        Self::read(lines).map(Some)
    }

    fn read(lines: impl Iterator<Item = &'r str>) -> Result<Self, Malformed> {
        let mut tags = Vec::new();
        let mut any = false;
        for line in lines {
            if line.trim() == "*" {
                any = true;
                continue;
            }
            let mut rest = blank(line);
            while !rest.is_empty() {
                // Empty elements of a list are allowed, and mean nothing.
                if let Some(after) = rest.strip_prefix(',') {
                    rest = blank(after);
                    continue;
                }
                let (tag, after) = EntityTag::first_of(rest).ok_or(Malformed)?;
                tags.push(tag);
                rest = blank(after);
                if !(rest.is_empty() || rest.starts_with(',')) {
                    return Err(Malformed);
                }
            }
        }
        match (any, tags.is_empty()) {
            (true, true) => Ok(Self::Any),
            (false, false) => Ok(Self::Listed(tags)),
            _ => Err(Malformed),
        }
    }

    /// The weak comparison: for what need not be sent again.
    fn name(&self, opaque: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(tags) => tags.iter().any(|tag| tag.opaque == opaque),
        }
    }
}

/// Without the white space at its start.
fn blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

impl<'r> EntityTag<'r> {
    /// The tag at the start of a text, and what comes after it.
    fn first_of(text: &'r str) -> Option<(Self, &'r str)> {
        let (weak, quoted) = match text.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
        // Visible characters, and those that are not ASCII.
        let good = opaque.chars().all(|c| c == '!' || c >= '#' && c != '\u{7f}');
        good.then_some((Self { weak, opaque }, after))
    }
}

/// The states of a product that a request is meant for, as its `If-Match` says.
///
/// Compared strongly: a weak tag matches nothing, and neither does one that names no state of a product.
pub(crate) struct IfMatch(pub(crate) Expected);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for IfMatch {
    type Error = Refused;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Refused> {
        match Tags::of(request, "If-Match") {
            Ok(None | Some(Tags::Any)) => Outcome::Success(Self(Expected::Any)),
            Ok(Some(Tags::Listed(tags))) => {
                let strong = tags.iter().filter(|tag| !tag.weak);
                Outcome::Success(Self(Expected::OneOf(strong.filter_map(|tag| tag.opaque.parse().ok()).collect())))
            }
            // Not as if it were not there: whoever sends it does not want to overwrite what they have not seen.
            Err(Malformed) => {
                let problem = r#"it must be * or entity tags in quotes, for example "3-17""#.to_owned();
                refuse(request, ApiError::InvalidParameter { parameter: "If-Match", problem })
            }
        }
    }
}

/// Who may keep an answer. All have to ask before they use it again.
#[derive(Clone, Copy)]
enum Keeper {
    Everybody,
    /// The client itself, and only for whoever had that token.
    Owner,
}

/// A JSON answer with an entity tag. A `GET` that names the tag in `If-None-Match` is answered 304, without a body.
pub(crate) struct Etagged<T> {
    body: T,
    keeper: Keeper,
    tag: Option<String>,
}

impl<T: Serialize> Etagged<T> {
    /// What everybody may see, tagged with a digest of its bytes.
    pub(crate) fn public(body: T) -> Self {
        Self { body, keeper: Keeper::Everybody, tag: None }
    }

    /// What only its owner may see, tagged with a digest of its bytes.
    pub(crate) fn private(body: T) -> Self {
        Self { body, keeper: Keeper::Owner, tag: None }
    }
}

/// A product, tagged with the state that it is in.
impl From<Versioned> for Etagged<shop_common::products::Product> {
    fn from(versioned: Versioned) -> Self {
        let tag = versioned.revision().to_string();
        Self { body: versioned.product, keeper: Keeper::Everybody, tag: Some(tag) }
    }
}

impl<T: Serialize> Etagged<T> {
    /// As it goes out.
    ///
    /// # Errors
    /// When it is no JSON, which is a mistake in the code.
    pub(crate) fn render(self) -> Result<Tagged, ApiError> {
        let bytes = serde_json::to_vec(&self.body).map_err(|error| ApiError::Internal(error.to_string()))?;
        let tag = format!("\"{}\"", self.tag.unwrap_or_else(|| digest(&bytes)));
        Ok(Tagged { bytes: bytes.into(), tag, keeper: self.keeper })
    }
}

impl<'r, T: Serialize> Responder<'r, 'static> for Etagged<T> {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        match self.render() {
            Ok(tagged) => tagged.respond_to(request),
            Err(error) => error.respond_to(request),
        }
    }
}

/// The bytes of an answer with its entity tag.
#[derive(Clone)]
pub(crate) struct Tagged {
    bytes: Bytes,
    /// In quotes.
    tag: String,
    keeper: Keeper,
}

impl Tagged {
    /// How many bytes it takes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.tag.len()
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl<'r> Responder<'r, 'static> for Tagged {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let mut response = Response::build();
        // A HEAD is a GET by now. Answers to other methods have a tag too, for the next `If-Match`, but are not kept.
        if request.method() == Method::Get {
            match self.keeper {
                Keeper::Everybody => response.header(Header::new("Cache-Control", "no-cache")),
                Keeper::Owner => response
                    .header(Header::new("Cache-Control", "private, no-cache"))
                    .header_adjoin(Header::new("Vary", "Authorization")),
            };
            // What cannot be read names nothing: the answer is sent, which is never wrong.
            let known = match Tags::of(request, "If-None-Match") {
                Ok(Some(tags)) => Some(tags.name(self.tag.trim_matches('"'))),
                Ok(None) | Err(Malformed) => None,
            };
            if let Some(known) = known {
                let result = if known { "not_modified" } else { "modified" };
                metrics::counter!("shop_conditional_requests_total", "result" => result).increment(1);
            }
            if known == Some(true) {
                response.status(Status::NotModified);
            } else {
                response.header(ContentType::JSON);
            }
        } else {
            response.header(ContentType::JSON);
        }
        // Rocket sends the length of a body with a 304, and no body.
        response.header(Header::new("ETag", self.tag)).sized_body(self.bytes.len(), Cursor::new(self.bytes)).ok()
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(DIGEST_BYTES).fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is read of a list of tags is what was written: it reads the same when it is written again. A line for each header.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let Ok(tags) = Tags::read(text.lines()) else { return };
    let written = match &tags {
        Tags::Any => "*".to_owned(),
        Tags::Listed(tags) => {
            let written = |tag: &EntityTag<'_>| format!("{}\"{}\"", if tag.weak { "W/" } else { "" }, tag.opaque);
            tags.iter().map(written).collect::<Vec<_>>().join(", ")
        }
    };
    assert_eq!(Tags::read([written.as_str()].into_iter()), Ok(tags));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strong(opaque: &str) -> EntityTag<'_> {
        EntityTag { weak: false, opaque }
    }

    fn read<'r>(lines: &[&'r str]) -> Result<Tags<'r>, Malformed> {
        Tags::read(lines.iter().copied())
    }

    #[test]
    fn lists_of_tags_are_read_over_all_lines() {
        let weak = EntityTag { weak: true, opaque: "b" };
        assert_eq!(read(&[r#""a""#]), Ok(Tags::Listed(vec![strong("a")])));
        assert_eq!(read(&[r#""a",W/"b" , "c,d""#]), Ok(Tags::Listed(vec![strong("a"), weak, strong("c,d")])));
        assert_eq!(read(&[r#",, "a" ,"#, r#""""#]), Ok(Tags::Listed(vec![strong("a"), strong("")])));
        assert_eq!(read(&[" * "]), Ok(Tags::Any));
        assert_eq!(read(&["\"é\""]), Ok(Tags::Listed(vec![strong("é")])));
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for bad in
            ["", ",", "3-17", "'a'", r#""a"#, r#"a""#, r#"w/"a""#, r#"W/ "a""#, r#""a" "b""#, r#""a"b"#, r#"*, "a""#]
        {
            assert_eq!(read(&[bad]), Err(Malformed), "{bad:?}");
        }
        assert_eq!(read(&["*", r#""a""#]), Err(Malformed));
        for bad in ["\"a b\"", "\"a\tb\"", "\"\u{7f}\"", "\"\u{1}\""] {
            assert_eq!(read(&[bad]), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_weak_tag_names_what_need_not_be_sent_again() {
        let tags = read(&[r#"W/"a", "b""#]).unwrap();
        assert!(tags.name("a") && tags.name("b") && !tags.name("c"));
        assert!(Tags::Any.name("c"));
    }

    #[test]
    fn equal_bytes_have_equal_tags() {
        assert_eq!(digest(b"mug").len(), 2 * DIGEST_BYTES);
        assert_eq!(digest(b"mug"), digest(b"mug"));
        assert_ne!(digest(b"mug"), digest(b"mugs"));
    }
}
