//! Pages of lists: which part of a list was asked for, and the part itself.
//!
//! A page begins so many rows in (`skip`), or behind a row that is known (a [`cursor`]). The first costs what is
//! passed over; the second costs the same at any depth, and neither repeats nor misses a row when others come or go.

pub mod cursor;
pub(crate) mod total;

use std::cmp::Ordering;

use serde::Serialize;
use sqlx::{Postgres, QueryBuilder};
use utoipa::ToSchema;

use cursor::{Cursor, InvalidCursor, Kind, Position, Scope, Value};
use total::Total;

/// The most rows of a page, for whoever asks over the api.
pub const MAX_TAKE: u32 = 100;

/// Which way a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }

    /// As SQL says it.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }

    /// How two rows follow each other, of which this is the order of their values.
    fn order(self, ascending: Ordering) -> Ordering {
        match self {
            Self::Ascending => ascending,
            Self::Descending => ascending.reverse(),
        }
    }

    /// How what comes later compares with what comes first, as SQL says it.
    fn later(self) -> &'static str {
        match self {
            Self::Ascending => ">",
            Self::Descending => "<",
        }
    }
}

/// What a list can be sorted by. Rows that are equal in it are sorted by id, the same way.
pub trait Column: Copy + Serialize {
    /// What the list is called in cursors: no two lists have the same name.
    const LIST: &'static str;
    /// The column of the id.
    const ID: &'static str;
    /// A row as the database gives it.
    type Row;

    /// The column.
    fn sql(self) -> &'static str;

    /// What kind of values are in it.
    fn kind(self) -> Kind;

    /// Where a row is in the list that is sorted by this.
    fn position(self, row: &Self::Row) -> Position;
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Start {
    /// So many rows in.
    Skip(u32),
    /// Behind that row, whether or not it is still there.
    After(Position),
}

/// Which rows of a list, in what order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest<C> {
    column: C,
    direction: Direction,
    take: u32,
    start: Start,
    scope: Scope,
}

impl<C: Column> PageRequest<C> {
    /// The first `take` rows of the list of what passes the filter.
    pub fn first(column: C, direction: Direction, take: u32, filter: &impl Serialize) -> Self {
        let scope = Scope::of(C::LIST, column, direction, filter);
        Self { column, direction, take, start: Start::Skip(0), scope }
    }

    /// The same, so many rows in.
    #[must_use]
    pub fn skip(self, rows: u32) -> Self {
        Self { start: Start::Skip(rows), ..self }
    }

    /// The same, behind the last row of the page that gave this cursor.
    ///
    /// # Errors
    /// When it is not a cursor of this list, in this order, with this filter.
    pub fn after(self, cursor: &str) -> Result<Self, InvalidCursor> {
        let position = Cursor::read(cursor, self.scope, self.column.kind())?;
        Ok(Self { start: Start::After(position), ..self })
    }

    /// What the list is sorted by.
    pub(crate) fn column(&self) -> C {
        self.column
    }

    /// How many rows are passed over, unless the page begins behind a row.
    pub(crate) fn skipped(&self) -> Option<u32> {
        match self.start {
            Start::Skip(rows) => Some(rows),
            Start::After(_) => None,
        }
    }

    /// Ends a `SELECT … WHERE …` so that it gives this page, and one row more, which tells whether another follows.
    pub(crate) fn push_end(&self, query: &mut QueryBuilder<Postgres>) {
        let (column, id, direction) = (self.column.sql(), C::ID, self.direction.sql());
        if let Start::After(Position { value, id: last }) = &self.start {
            // Compared as a row, which PostgreSQL answers out of the index on both.
            query.push(format_args!(" AND ({column}, {id}) {} (", self.direction.later()));
            match value {
                Value::Id => query.push_bind(*last),
                Value::Number(number) => query.push_bind(*number),
                Value::Text(text) => query.push_bind(text.clone()),
                Value::Time(time) => query.push_bind(*time),
            };
            query.push(", ").push_bind(*last).push(")");
        }
        query.push(format_args!(" ORDER BY {column} {direction}"));
        if column != id {
            query.push(format_args!(", {id} {direction}"));
        }
        query.push(" LIMIT ").push_bind(i64::from(self.take) + 1);
        if let Start::Skip(rows) = self.start {
            query.push(" OFFSET ").push_bind(i64::from(rows));
        }
    }

    /// The rows of this page, and one more if there is one, out of all rows of a list that is at hand.
    pub(crate) fn cut(&self, rows: Vec<C::Row>) -> Vec<C::Row> {
        let mut rows: Vec<(Position, C::Row)> = rows.into_iter().map(|row| (self.column.position(&row), row)).collect();
        rows.sort_unstable_by(|(one, _), (other, _)| self.direction.order(one.cmp(other)));
        let (skipped, last) = match &self.start {
            Start::Skip(rows) => (*rows as usize, None),
            Start::After(last) => (0, Some(last)),
        };
        let is_later = |position: &Position| last.is_none_or(|last| self.direction.order(position.cmp(last)).is_gt());
        let later = rows.into_iter().filter(|(position, _)| is_later(position)).map(|(_, row)| row);
        later.skip(skipped).take(self.take as usize + 1).collect()
    }

    /// Whether the rows that came, of which one may be too many, say how long the whole list is.
    pub(crate) fn whole_list(&self, rows: usize) -> Option<i64> {
        let last_page = rows <= self.take as usize;
        let skipped = self.skipped().filter(|skipped| last_page && (*skipped == 0 || rows > 0))?;
        Some(i64::from(skipped) + i64::try_from(rows).ok()?)
    }

    /// The rows without the one that may be too many, and the cursor behind them if there was one.
    pub(crate) fn cut_off(&self, mut rows: Vec<C::Row>) -> (Vec<C::Row>, Option<Cursor>) {
        let has_next_page = rows.len() > self.take as usize;
        rows.truncate(self.take as usize);
        let last = rows.last().filter(|_| has_next_page);
        let next_cursor = last.map(|row| Cursor::new(self.scope, self.column.position(row)));
        (rows, next_cursor)
    }

    /// The page out of its rows, of which one may be too many.
    pub(crate) fn page(&self, items: Vec<C::Row>, total: Total) -> Page<C::Row> {
        let (items, next_cursor) = self.cut_off(items);
        let has_next_page = next_cursor.is_some();
        // An estimate may be too low for what has come already.
        let seen = i64::from(self.skipped().unwrap_or(0)) + items.len() as i64 + i64::from(has_next_page);
        Page {
            items,
            has_next_page,
            total_count: if total.is_estimate { total.rows.max(seen) } else { total.rows },
            total_count_is_estimate: total.is_estimate,
            incomplete_results: false,
            next_cursor,
        }
    }
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Whether there are rows after these.
    pub has_next_page: bool,
    /// How many rows the whole list has.
    pub total_count: i64,
    /// Whether that is only about right, because counting would take long.
    #[serde(skip_serializing_if = "is_false")]
    pub total_count_is_estimate: bool,
    /// Whether more was found than is ranked and listed.
    #[serde(skip_serializing_if = "is_false")]
    pub incomplete_results: bool,
    /// What the next page comes after, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub next_cursor: Option<Cursor>,
}

impl<T> Page<T> {
    /// The same page of other things.
    pub(crate) fn with<U>(self, items: Vec<U>) -> Page<U> {
        Page {
            items,
            has_next_page: self.has_next_page,
            total_count: self.total_count,
            total_count_is_estimate: self.total_count_is_estimate,
            incomplete_results: self.incomplete_results,
            next_cursor: self.next_cursor,
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(flag: &bool) -> bool {
    !flag
}
