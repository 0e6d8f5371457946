//! Pages as clients ask for them: `?skip&take&orderBy&order`.

use rocket::FromForm;
use shop_common::pagination::{Direction, MAX_TAKE, PageRequest};

use crate::error::ApiError;

const DEFAULT_TAKE: u32 = 10;

/// The query of a list, as it came.
#[derive(Debug, FromForm)]
pub(crate) struct ListQuery<'r> {
    skip: Option<&'r str>,
    take: Option<&'r str>,
    #[field(name = "orderBy")]
    order_by: Option<&'r str>,
    order: Option<&'r str>,
}

impl ListQuery<'_> {
    /// Reads the query. `columns` are the names that the list can be sorted by, the default first.
    pub(crate) fn parse<C: Copy>(
        &self,
        columns: &[(&str, C)],
        default_direction: Direction,
    ) -> Result<PageRequest<C>, ApiError> {
        let skip = number("skip", self.skip, 0, 0..=u32::MAX)?;
        let take = number("take", self.take, DEFAULT_TAKE, 1..=MAX_TAKE)?;
        let order_by = match self.order_by {
            None => columns.first(),
            Some(name) => columns.iter().find(|(column, _)| *column == name),
        };
        let (_, order_by) = order_by.ok_or_else(|| {
            let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
            ApiError::InvalidParameter {
                parameter: "orderBy",
                problem: format!("it must be one of {}", names.join(", ")),
            }
        })?;
        let direction = match self.order.map(str::to_ascii_lowercase).as_deref() {
            None => default_direction,
            Some("asc") => Direction::Ascending,
            Some("desc") => Direction::Descending,
            Some(_) => {
                return Err(ApiError::InvalidParameter {
                    parameter: "order",
                    problem: "it must be asc or desc".to_owned(),
                });
            }
        };
        Ok(PageRequest { skip, take, order_by: *order_by, direction })
    }
}

fn number(
    parameter: &'static str,
    text: Option<&str>,
    default: u32,
    range: std::ops::RangeInclusive<u32>,
) -> Result<u32, ApiError> {
    let Some(text) = text else { return Ok(default) };
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| ApiError::InvalidParameter {
        parameter,
        problem: format!("it must be a whole number from {} to {}", range.start(), range.end()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [(&str, u8); 2] = [("id", 1), ("name", 2)];

    fn parse(query: [Option<&str>; 4]) -> Result<PageRequest<u8>, ApiError> {
        let [skip, take, order_by, order] = query;
        ListQuery { skip, take, order_by, order }.parse(&COLUMNS, Direction::Ascending)
    }

    #[test]
    fn a_list_has_ten_rows_by_default_and_a_hundred_at_most() {
        let page = parse([None; 4]).unwrap();
        assert_eq!((page.skip, page.take, page.order_by, page.direction), (0, 10, 1, Direction::Ascending));
        assert_eq!(parse([Some("5"), Some("100"), Some("name"), Some("DESC")]).unwrap().take, 100);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (query, name) in [
            ([Some("-1"), None, None, None], "skip"),
            ([None, Some("101"), None, None], "take"),
            ([None, Some("0"), None, None], "take"),
            ([None, None, Some("password"), None], "orderBy"),
            ([None, None, None, Some("up")], "order"),
        ] {
            let error = parse(query).unwrap_err();
            assert!(matches!(error, ApiError::InvalidParameter { parameter, .. } if parameter == name));
        }
    }
}
