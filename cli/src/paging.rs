//! Pages of lists: the part that was asked for, and how to get the next one.

use serde::Serialize;
use shop_common::pagination::{Column, Direction, Page, PageRequest};

use crate::args::{Format, PageArgs};
use crate::exit::{Exit, Failure};
use crate::output;

/// What to do about a cursor that is of another list.
pub(crate) const BEGIN_AGAIN: &str = "give all other options as they were, or leave --after out to begin again";

/// The part of a list that was asked for. `scope` is everything that says which rows are in the list: a cursor of
/// another one is refused.
pub(crate) fn request<C: Column>(
    args: &PageArgs,
    column: C,
    direction: Direction,
    scope: &impl Serialize,
) -> Result<PageRequest<C>, Failure> {
    let direction = if args.reverse { direction.reversed() } else { direction };
    let first = PageRequest::first(column, direction, args.limit, scope);
    let Some(cursor) = &args.after else { return Ok(first) };
    first.after(cursor).map_err(|error| Failure::new(Exit::Usage, format!("--after: {error}")).next(BEGIN_AGAIN))
}

/// Prints a page, and notes how to get the next one. `what` are its rows, in the plural.
pub(crate) fn print<T: Serialize, const N: usize>(
    format: Format,
    page: &Page<T>,
    what: &str,
    headers: [&str; N],
    row: impl FnMut(&T) -> [String; N],
) -> Result<(), Failure> {
    output::list(format, &page.items, headers, row)?;
    if let Some(cursor) = &page.next_cursor {
        let about = if page.total_count_is_estimate { "about " } else { "" };
        let (shown, all) = (page.items.len(), page.total_count);
        output::note(format!("{shown} of {about}{all} {what}; for the next ones add --after {cursor}"));
    }
    if page.incomplete_results {
        output::note("of so many matches only the newest are ranked; --sort lists all of them");
    }
    Ok(())
}
