//! Pages of lists: which part of a list was asked for, and the part itself.

use serde::Serialize;

/// The most rows of a page.
pub const MAX_TAKE: u32 = 100;

/// Which way a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

impl Direction {
    /// As SQL says it.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }
}

/// Which rows of a list, in what order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest<Column> {
    /// Rows to pass over.
    pub skip: u32,
    /// Rows wanted, 1 to [`MAX_TAKE`].
    pub take: u32,
    /// What to sort by; rows that are equal in it are sorted by id.
    pub order_by: Column,
    /// Which way.
    pub direction: Direction,
}

/// A page of a list.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Whether there are rows after these.
    pub has_next_page: bool,
    /// How many rows the whole list has.
    pub total_count: i64,
}

impl<T> Page<T> {
    /// A page out of one row more than was asked for, which tells whether another page follows.
    pub fn from_one_more(mut items: Vec<T>, take: u32, total_count: i64) -> Self {
        let take = take as usize;
        let has_next_page = items.len() > take;
        items.truncate(take);
        Self { items, has_next_page, total_count }
    }
}
