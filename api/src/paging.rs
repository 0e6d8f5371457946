//! Pages as clients ask for them, `?skip|after&take&orderBy&order`, and as they are answered: with a link to the next.

use std::fmt::{Display, Write as _};
use std::ops::RangeInclusive;
use std::str::FromStr;

use rocket::form::name::NameView;
use rocket::http::uri::Origin;
use rocket::http::{Header, RawStr};
use rocket::response::{self, Responder, Response};
use rocket::{FromForm, Request};
use serde::Serialize;
use shop_common::pagination::cursor::Cursor;
use shop_common::pagination::{Column, Direction, MAX_TAKE, Page, PageRequest};
use utoipa::IntoParams;

use crate::error::ApiError;
use crate::etag::{Etagged, Tagged};

const DEFAULT_TAKE: u32 = 10;
/// Rows that are passed over are read. Who wants to go further goes by cursor, which costs the same at any depth.
const MAX_SKIP: u32 = 100_000;

/// The query of a list, as it came.
#[derive(Debug, Clone, Copy, Default, FromForm, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery<'r> {
    /// Rows to pass over.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 100000, default = 0)]
    pub(crate) skip: Option<&'r str>,
    /// Rows wanted.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 10)]
    pub(crate) take: Option<&'r str>,
    /// What to sort by; rows that are equal in it are sorted by id.
    #[field(name = "orderBy")]
    #[param(rename = "orderBy", pattern = "^(id)$", example = "id")]
    pub(crate) order_by: Option<&'r str>,
    /// Which way.
    #[param(pattern = "^(asc|desc)$", example = "desc")]
    pub(crate) order: Option<&'r str>,
    /// The `nextCursor` of the page before, with the rest of the query as it was; not together with `skip`.
    pub(crate) after: Option<&'r str>,
}

impl ListQuery<'_> {
    /// Reads the query. `columns` are the names that the list can be sorted by, the default first; `filter` is
    /// everything that says which rows are in the list.
    pub(crate) fn parse<C: Column>(
        &self,
        columns: &[(&str, C)],
        default_direction: Direction,
        filter: &impl Serialize,
    ) -> Result<PageRequest<C>, ApiError> {
        let take = number("take", self.take, DEFAULT_TAKE, 1..=MAX_TAKE)?;
        let column = match self.order_by {
            None => columns.first(),
            Some(name) => columns.iter().find(|(column, _)| *column == name),
        };
        let (_, column) = column.ok_or_else(|| {
            let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
            invalid("orderBy", format!("it must be one of {}", names.join(", ")))
        })?;
        let direction = match self.order.map(str::to_ascii_lowercase).as_deref() {
            None => default_direction,
            Some("asc") => Direction::Ascending,
            Some("desc") => Direction::Descending,
            Some(_) => return Err(invalid("order", "it must be asc or desc".to_owned())),
        };
        let first = PageRequest::first(*column, direction, take, filter);
        match (self.skip, self.after) {
            (None, None) => Ok(first),
            (skip, None) => Ok(first.skip(number("skip", skip, 0, 0..=MAX_SKIP)?)),
            (None, Some(cursor)) => first.after(cursor).map_err(|_| ApiError::InvalidCursor),
            (Some(_), Some(_)) => {
                Err(invalid("skip", "it cannot be combined with `after`, which says already where to go on".to_owned()))
            }
        }
    }
}

/// A whole number of the query, or what it is when it is not given.
pub(crate) fn number<N: FromStr + PartialOrd + Display>(
    parameter: &'static str,
    text: Option<&str>,
    default: N,
    range: RangeInclusive<N>,
) -> Result<N, ApiError> {
    let Some(text) = text else { return Ok(default) };
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        invalid(parameter, format!("it must be a whole number from {} to {}", range.start(), range.end()))
    })
}

/// An id of the path or the query.
pub(crate) fn id<I: FromStr>(parameter: &'static str, text: &str) -> Result<I, ApiError> {
    text.parse().map_err(|_| invalid(parameter, "it must be a UUID".to_owned()))
}

/// A parameter that cannot be read, and how it must be.
pub(crate) fn invalid(parameter: &'static str, problem: String) -> ApiError {
    ApiError::InvalidParameter { parameter, problem }
}

/// A page as it is answered: JSON with an entity tag, and the next page as a `Link` (RFC 8288).
pub(crate) struct Paged<T> {
    page: Etagged<Page<T>>,
    next: Option<Cursor>,
}

impl<T: Serialize> Paged<T> {
    /// A page that is the same for everybody.
    pub(crate) fn public(page: Page<T>) -> Self {
        Self { next: page.next_cursor.clone(), page: Etagged::public(page) }
    }

    /// A page that only whoever asked for it may see.
    pub(crate) fn private(page: Page<T>) -> Self {
        Self { next: page.next_cursor.clone(), page: Etagged::private(page) }
    }
}

impl<T: Serialize> Paged<T> {
    /// As it goes out in answer to that address, with the `Link` to the next page.
    ///
    /// # Errors
    /// When it is no JSON, which is a mistake in the code.
    pub(crate) fn render(self, address: &Origin<'_>) -> Result<(Tagged, Option<String>), ApiError> {
        let link = self.next.map(|cursor| next_link(address, &cursor));
        Ok((self.page.render()?, link))
    }
}

impl<'r, T: Serialize> Responder<'r, 'static> for Paged<T> {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let mut response = Response::build_from(self.page.respond_to(request)?);
        if let Some(cursor) = &self.next {
            response.header(Header::new("Link", next_link(request.uri(), cursor)));
        }
        response.ok()
    }
}

/// The address of the next page: this one, but after the cursor.
fn next_link(uri: &Origin<'_>, cursor: &Cursor) -> String {
    let mut link = format!("<{}?", uri.path());
    let fields = uri.query().into_iter().flat_map(|query| query.raw_segments());
    for field in fields.filter(|field| !says_where_to_begin(field)) {
        escape_into(&mut link, field);
        link.push('&');
    }
    // Writing to a string does not fail.
    let _ = write!(link, "after={cursor}>; rel=\"next\"");
    link
}

/// Whether it is `skip` or `after`, however that is spelt: as Rocket reads the names of fields.
fn says_where_to_begin(field: &RawStr) -> bool {
    let (name, _) = field.split_at_byte(b'=');
    let name = name.url_decode_lossy();
    NameView::new(&name).key().is_some_and(|key| matches!(key.as_str(), "skip" | "after"))
}

/// Rocket takes characters in a query that RFC 3986 does not allow, `|` among them. What is escaped already stays.
fn escape_into(link: &mut String, field: &RawStr) {
    for byte in field.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(byte) {
            link.push(char::from(*byte));
        } else {
            let _ = write!(link, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use shop_common::pagination::cursor::{Kind, Position, Scope, Value};

    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    struct Id;

    impl Column for Id {
        const LIST: &'static str = "test";
        const ID: &'static str = "id";
        type Row = uuid::Uuid;

        fn sql(self) -> &'static str {
            "id"
        }

        fn kind(self) -> Kind {
            Kind::Id
        }

        fn position(self, row: &uuid::Uuid) -> Position {
            Position { value: Value::Id, id: *row }
        }
    }

    const COLUMNS: [(&str, Id); 1] = [("id", Id)];

    fn parse(query: ListQuery<'_>) -> Result<PageRequest<Id>, ApiError> {
        query.parse(&COLUMNS, Direction::Ascending, &())
    }

    fn cursor() -> Cursor {
        let position = Position { value: Value::Id, id: uuid::Uuid::nil() };
        Cursor::new(Scope::of("test", Id, Direction::Ascending, &()), position)
    }

    fn link(uri: &str) -> String {
        next_link(&Origin::parse(uri).unwrap(), &cursor())
    }

    #[test]
    fn a_list_has_ten_rows_by_default_and_a_hundred_at_most() {
        let first = |take| PageRequest::first(Id, Direction::Ascending, take, &());
        assert_eq!(parse(ListQuery::default()).unwrap(), first(10));
        let page = parse(ListQuery { take: Some("100"), skip: Some("5"), ..ListQuery::default() });
        assert_eq!(page.unwrap(), first(100).skip(5));
        let last = parse(ListQuery { order_by: Some("id"), order: Some("DESC"), ..ListQuery::default() });
        assert_eq!(last.unwrap(), PageRequest::first(Id, Direction::Descending, 10, &()));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let cursor = cursor().to_string();
        let none = ListQuery::default();
        for (query, name) in [
            (ListQuery { skip: Some("-1"), ..none }, "skip"),
            (ListQuery { skip: Some("0"), after: Some(&cursor), ..none }, "skip"),
            (ListQuery { take: Some("101"), ..none }, "take"),
            (ListQuery { take: Some("0"), ..none }, "take"),
            (ListQuery { order_by: Some("password"), ..none }, "orderBy"),
            (ListQuery { order: Some("up"), ..none }, "order"),
        ] {
            let error = parse(query).unwrap_err();
            assert!(matches!(error, ApiError::InvalidParameter { parameter, .. } if parameter == name), "{name}");
        }
        let garbage = parse(ListQuery { after: Some("garbage"), ..none });
        assert!(matches!(garbage, Err(ApiError::InvalidCursor)));
        assert!(parse(ListQuery { after: Some(&cursor), ..none }).is_ok());
    }

    #[test]
    fn the_next_page_has_the_same_query_but_for_where_it_begins() {
        let after = format!("after={}>; rel=\"next\"", cursor());
        for (uri, start) in [
            ("/orders", "</orders?"),
            ("/orders?take=2&skip=4&x=1", "</orders?take=2&x=1&"),
            ("/orders?after=abc&q=a%20b+c%26d%3Ee", "</orders?q=a%20b+c%26d%3Ee&"),
            ("/orders?%61fter=abc&after[0]=d&skip.x=1&afterwards=1", "</orders?afterwards=1&"),
            ("/orders?q=a|b{c}[d]^`", "</orders?q=a%7Cb%7Bc%7D%5Bd%5D%5E%60&"),
        ] {
            assert_eq!(link(uri), format!("{start}{after}"));
        }
    }
}
