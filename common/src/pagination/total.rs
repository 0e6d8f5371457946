//! How long lists are: counted where that is cheap, else as PostgreSQL's planner estimates it.

use serde::Deserialize;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder};

/// Up to so many rows are counted one by one.
const COUNT_EXACTLY: i64 = 10_000;
/// Estimates are not exact: up to so many estimated rows there may be few enough to count.
const WORTH_COUNTING: f64 = 20_000.0;
/// A count that costs more, in the planner's units, is left out: that would be some 2,500 pages, read here and there.
const MAX_COST: f64 = 10_000.0;

/// How many rows a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Total {
    /// So many.
    pub(crate) rows: i64,
    /// Whether that is only about right.
    pub(crate) is_estimate: bool,
}

impl Total {
    /// A number that is known.
    pub(crate) fn exactly(rows: i64) -> Self {
        Self { rows, is_estimate: false }
    }

    /// About so many.
    pub(crate) fn about(rows: i64) -> Self {
        Self { rows, is_estimate: true }
    }
}

/// What `EXPLAIN (FORMAT JSON)` says of a whole statement.
#[derive(Deserialize)]
struct Explained {
    #[serde(rename = "Plan")]
    plan: Plan,
}

#[derive(Deserialize)]
struct Plan {
    #[serde(rename = "Plan Rows")]
    rows: f64,
    #[serde(rename = "Total Cost")]
    cost: f64,
}

impl Plan {
    #[allow(clippy::cast_possible_truncation, reason = "a number of rows")]
    fn rows(&self) -> i64 {
        self.rows as i64
    }
}

/// How many rows match; `push` writes `FROM … WHERE …`.
///
/// The planner is asked first, which reads no rows. Its word is taken when there seem to be many, or when
/// finding out would cost much; a count ends when it has found too many.
pub(crate) async fn count(
    connection: &mut PgConnection,
    push: impl Fn(&mut QueryBuilder<Postgres>),
) -> Result<Total, sqlx::Error> {
    let Some(plan) = plan(connection, &push).await? else { return Ok(Total::about(0)) };
    if plan.rows > WORTH_COUNTING || plan.cost > MAX_COST {
        return Ok(Total::about(plan.rows()));
    }
    let mut query = QueryBuilder::new("SELECT count(*) FROM (SELECT");
    push(&mut query);
    query.push(" LIMIT ").push_bind(COUNT_EXACTLY + 1).push(") AS few");
    let counted: i64 = query.build_query_scalar().persistent(false).fetch_one(connection).await?;
    if counted <= COUNT_EXACTLY { Ok(Total::exactly(counted)) } else { Ok(Total::about(plan.rows().max(counted))) }
}

/// How many rows match, as the planner estimates it.
pub(crate) async fn estimate(
    connection: &mut PgConnection,
    push: impl Fn(&mut QueryBuilder<Postgres>),
) -> Result<i64, sqlx::Error> {
    Ok(plan(connection, &push).await?.map_or(0, |plan| plan.rows()))
}

async fn plan(
    connection: &mut PgConnection,
    push: &impl Fn(&mut QueryBuilder<Postgres>),
) -> Result<Option<Plan>, sqlx::Error> {
    let mut query = QueryBuilder::new("EXPLAIN (FORMAT JSON) SELECT");
    push(&mut query);
    let Json(explained): Json<Vec<Explained>> =
        query.build_query_scalar().persistent(false).fetch_one(connection).await?;
    Ok(explained.into_iter().next().map(|explained| explained.plan))
}
