//! Movements: every change of a stock that was not an order, with who made it and why.

use serde::Serialize;
use sqlx::{PgConnection, PgPool, QueryBuilder};

use crate::id::{MovementId, ProductId, UserId};
use crate::pagination::cursor::{Kind, Position, Value};
use crate::pagination::total::{self, Total};
use crate::pagination::{Column, Page, PageRequest};
use crate::time::{self, Timestamp};

/// A change of a product's stock.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Movement {
    /// Which one.
    pub id: MovementId,
    /// By how many pieces the stock changed.
    pub delta: i64,
    /// Why.
    pub reason: String,
    /// Who did it over the api; nobody, if it was an operator.
    pub actor_id: Option<UserId>,
    /// When.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// What a list of movements can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum MovementColumn {
    /// The id, which is the order of making.
    Id,
}

impl Column for MovementColumn {
    const LIST: &'static str = "movements";
    const ID: &'static str = "id";
    type Row = Movement;

    fn sql(self) -> &'static str {
        Self::ID
    }

    fn kind(self) -> Kind {
        Kind::Id
    }

    fn position(self, movement: &Movement) -> Position {
        Position { value: Value::Id, id: movement.id.0 }
    }
}

/// A page of a product's movements; `None` when there never was such a product. A deleted one still has them.
///
/// # Errors
/// When the database refuses.
pub async fn list(
    pool: &PgPool,
    product: ProductId,
    page: &PageRequest<MovementColumn>,
) -> Result<Option<Page<Movement>>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let matches = |query: &mut QueryBuilder<_>| {
        query.push(" FROM stock_movements WHERE product_id = ").push_bind(product);
    };
    let mut query = QueryBuilder::new("SELECT id, delta, reason, actor_id, created_at");
    matches(&mut query);
    page.push_end(&mut query);
    let rows: Vec<Movement> = query.build_query_as().fetch_all(&mut *connection).await?;
    if rows.is_empty() && !exists(&mut connection, product).await? {
        return Ok(None);
    }
    let total = match page.whole_list(rows.len()) {
        Some(rows) => Total::exactly(rows),
        None => total::count(&mut connection, matches).await?,
    };
    Ok(Some(page.page(rows, total)))
}

async fn exists(connection: &mut PgConnection, product: ProductId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM products WHERE id = $1)").bind(product).fetch_one(connection).await
}
