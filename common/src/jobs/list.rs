//! Lists of jobs, page by page: newest first, latest error first, or what is due next.

use serde::Serialize;
use sqlx::{PgPool, QueryBuilder};

use super::dead::NEEDS_OPERATOR;
use super::filter::JobFilter;
use super::ledger::JobRecord;
use crate::orders::status::OrderStatus;
use crate::pagination::cursor::{Cursor, InvalidCursor, Kind, Position, Value};
use crate::pagination::{Column, Direction, PageRequest};

/// How a list of jobs is sorted, and so which of them are in it at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Sort {
    /// Newest first. By the primary key; of one state by `jobs_by_state`, of an order by `jobs_by_order`.
    Newest,
    /// Only jobs with an error, the one that failed last first. By `jobs_with_error`.
    Error,
    /// Only scheduled jobs, the one that is due first. By `jobs_due`.
    RunAt,
    /// The one that changed last first. By `jobs_by_updated_at`.
    Updated,
}

impl Sort {
    fn direction(self) -> Direction {
        match self {
            Self::RunAt => Direction::Ascending,
            Self::Newest | Self::Error | Self::Updated => Direction::Descending,
        }
    }

    /// What is in the list, as far as the sort says it.
    fn condition(self) -> &'static str {
        match self {
            Self::Error => " AND j.last_error IS NOT NULL",
            Self::RunAt => " AND j.state = 'scheduled'",
            Self::Newest | Self::Updated => "",
        }
    }
}

impl Column for Sort {
    const LIST: &'static str = "jobs";
    const ID: &'static str = "j.id";
    type Row = ListedJob;

    fn sql(self) -> &'static str {
        match self {
            Self::Newest => "j.id",
            Self::Error | Self::Updated => "j.updated_at",
            Self::RunAt => "j.run_at",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Newest => Kind::Id,
            Self::Error | Self::RunAt | Self::Updated => Kind::Time,
        }
    }

    fn position(self, ListedJob { job, .. }: &ListedJob) -> Position {
        let value = match self {
            Self::Newest => Value::Id,
            Self::Error | Self::Updated => Value::Time(job.updated_at),
            Self::RunAt => Value::Time(job.run_at),
        };
        Position { value, id: job.id.0 }
    }
}

/// A job, and how far its order is.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedJob {
    /// The job.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub job: JobRecord,
    /// Where its order stands.
    pub order_status: OrderStatus,
}

/// Which jobs to list, and how.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listing {
    /// Which.
    pub filter: JobFilter,
    /// Of those only the dead ones that need an operator, see [`super::dead`].
    pub needs_operator: bool,
    /// In what order.
    pub sort: Sort,
}

/// Why a list is not given.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The page was to begin behind something that is no cursor of this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The database refuses.
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
}

/// A page of jobs: so many at most, behind the cursor of the page before. Gives the cursor of the next page, if there is one.
///
/// # Errors
/// See [`ListError`].
pub async fn list(
    pool: &PgPool,
    listing: &Listing,
    take: u32,
    after: Option<&str>,
) -> Result<(Vec<ListedJob>, Option<Cursor>), ListError> {
    let Listing { filter, needs_operator, sort } = listing;
    let mut page = PageRequest::first(*sort, sort.direction(), take, listing);
    if let Some(cursor) = after {
        page = page.after(cursor)?;
    }
    let mut query = QueryBuilder::new("SELECT j.*, o.status AS order_status FROM ");
    query.push(if *needs_operator { NEEDS_OPERATOR } else { "jobs j JOIN orders o ON o.id = j.order_id WHERE true" });
    query.push(sort.condition());
    filter.push(&mut query);
    page.push_end(&mut query);
    Ok(page.cut_off(query.build_query_as().fetch_all(pool).await?))
}
