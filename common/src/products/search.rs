//! Search: products by the words of their names and descriptions, the best match first.
//!
//! PostgreSQL's full text finds words in every form (`mugs` finds `mug`), several of them all at once; `"…"`, `or` and
//! `-` mean what they mean to web searches. Where that finds nothing, each word is taken for a misspelt one, and
//! replaced by the words of the catalogue that are most like it (trigrams).

use serde::Serialize;
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use super::queries::{Found, Source, push_matches};
use super::{Product, ProductFilter};
use crate::id::ProductId;
use crate::pagination::cursor::{Kind, Position, Value};
use crate::pagination::total::{self, Total};
use crate::pagination::{Column, Page, PageRequest};

/// The most products that are ranked. Of more matches, the newest are.
pub const MAX_RANKED: usize = 1000;
/// The most words that are looked up when nothing was found.
const MAX_WORDS: i64 = 8;
/// By how many words of the catalogue one that is not found is replaced.
const ALIKE: i64 = 5;

/// What is searched for: 1 to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SearchText(String);

impl SearchText {
    /// The most characters.
    pub const MAX: usize = 200;

    /// Reads what somebody has typed; `None` if that is nothing.
    ///
    /// # Errors
    /// When it is too long.
    pub fn read(text: &str) -> Result<Option<Self>, &'static str> {
        // PostgreSQL takes every text but one with a NUL in it, which is no part of any word.
        let text = text.replace('\0', " ").trim().to_owned();
        match text.chars().count() {
            0 => Ok(None),
            1..=Self::MAX => Ok(Some(Self(text))),
            _ => Err("it can have at most 200 characters; leave words out"),
        }
    }

    /// The words to search for: as they were asked for, or else those that are most like them. `None` if no
    /// product has such words.
    pub(super) async fn resolve(&self, connection: &mut PgConnection) -> Result<Option<Words>, sqlx::Error> {
        // The limit tells the planner that it is not to read on and on for the first match of a rare word.
        let (asked, is_found): (String, bool) = sqlx::query_as(
            "WITH found AS MATERIALIZED (
                 SELECT product_id FROM product_search WHERE document @@ websearch_to_tsquery('english', $1) LIMIT $2
             )
             SELECT websearch_to_tsquery('english', $1)::text, EXISTS (SELECT FROM found)",
        )
        .bind(&self.0)
        .bind(most_candidates())
        .persistent(false)
        .fetch_one(&mut *connection)
        .await?;
        if is_found { Ok(Some(Words(asked))) } else { self.alike(connection).await }
    }

    /// Words of the catalogue that are most like these: of each one, any of a few will do. A word that is
    /// like none is left out.
    async fn alike(&self, connection: &mut PgConnection) -> Result<Option<Words>, sqlx::Error> {
        let alike: Option<String> = sqlx::query_scalar(
            "SELECT string_agg(any_of, ' & ')
             FROM (
                 SELECT '(' || string_agg(term, ' | ') || ')' AS any_of
                 FROM (SELECT lexeme FROM unnest(to_tsvector('simple', $1)) ORDER BY positions, lexeme LIMIT $2) AS asked
                 CROSS JOIN LATERAL (
                     SELECT plainto_tsquery('english', word)::text AS term FROM product_words
                     WHERE word % lexeme ORDER BY similarity(word, lexeme) DESC, word LIMIT $3
                 ) AS known
                 WHERE term <> ''
                 GROUP BY lexeme
             ) AS words",
        )
        .bind(&self.0)
        .bind(MAX_WORDS)
        .bind(ALIKE)
        .fetch_one(connection)
        .await?;
        Ok(alike.map(Words))
    }
}

/// Words to search for, as PostgreSQL writes a `tsquery`.
#[derive(Debug, Clone)]
pub(super) struct Words(String);

impl Words {
    /// Whether so few products have them that all of them may be looked at.
    pub(super) async fn are_rare(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let mut query = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM product_search WHERE ");
        self.push_match(&mut query);
        query.push(" LIMIT ").push_bind(most_candidates()).push(") AS found");
        let found: i64 = query.build_query_scalar().persistent(false).fetch_one(connection).await?;
        Ok(found < most_candidates())
    }

    /// Whether a document has them.
    pub(super) fn push_match(&self, query: &mut QueryBuilder<Postgres>) {
        query.push("document @@ ").push_bind(self.0.clone()).push("::tsquery");
    }
}

/// What found products are sorted by when nothing else is asked for: how well they match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Relevance;

/// A product that was found, and how well it matches, in millionths.
#[derive(Debug, Clone, Copy)]
pub struct Ranked {
    id: Uuid,
    rank: i64,
}

impl Column for Relevance {
    const LIST: &'static str = "found products";
    const ID: &'static str = "id";
    type Row = Ranked;

    fn sql(self) -> &'static str {
        "rank"
    }

    fn kind(self) -> Kind {
        Kind::Number
    }

    fn position(self, row: &Ranked) -> Position {
        Position { value: Value::Number(row.rank), id: row.id }
    }
}

/// A page of the products that are found and pass the filter, by how well they match.
///
/// Of more than [`MAX_RANKED`] only the newest are in this list, and the page says that it is incomplete; sorted
/// by anything else, the list has them all.
///
/// # Errors
/// When the database refuses.
pub async fn ranked(
    pool: &PgPool,
    search: &SearchText,
    filter: &ProductFilter,
    page: &PageRequest<Relevance>,
) -> Result<Page<Product>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let Some(words) = search.resolve(&mut connection).await? else {
        return Ok(page.page(Vec::new(), Total::exactly(0)).with(Vec::new()));
    };
    let mut found = candidates(&mut connection, &words, filter).await?;
    let is_incomplete = found.len() > MAX_RANKED;
    let total = if is_incomplete {
        if let Some(oldest) = found.iter().map(|row| row.id).min() {
            found.retain(|row| row.id != oldest);
        }
        let push =
            |query: &mut QueryBuilder<Postgres>| push_matches(query, Source::Products, Found::Among(&words), filter);
        let about = total::estimate(&mut connection, push).await?;
        Total::about(about.max(most_candidates()))
    } else {
        Total::exactly(i64::try_from(found.len()).unwrap_or(i64::MAX))
    };
    let mut listed = page.page(page.cut(found), total);
    listed.incomplete_results = is_incomplete;
    let products = find_all(&mut connection, &listed.items).await?;
    Ok(listed.with(products))
}

/// The newest products that match, one more than are ranked, in no particular order.
async fn candidates(
    connection: &mut PgConnection,
    words: &Words,
    filter: &ProductFilter,
) -> Result<Vec<Ranked>, sqlx::Error> {
    let mut query = QueryBuilder::new(
        "SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(rank), '{}')
         FROM (SELECT product_id AS id, round(ts_rank(document, ",
    );
    query.push_bind(words.0.clone()).push("::tsquery) * 1000000)::bigint AS rank FROM (SELECT product_id, document");
    if filter.is_empty() {
        // Deleted products have no document.
        words.push_match(query.push(" FROM product_search WHERE "));
    } else {
        push_matches(&mut query, Source::Products, Found::Among(words), filter);
    }
    query.push(" ORDER BY product_id DESC LIMIT ").push_bind(most_candidates()).push(") AS newest) AS ranked");
    let (ids, ranks): (Vec<Uuid>, Vec<i64>) = query.build_query_as().persistent(false).fetch_one(connection).await?;
    Ok(ids.into_iter().zip(ranks).map(|(id, rank)| Ranked { id, rank }).collect())
}

/// Those products, in that order.
async fn find_all(connection: &mut PgConnection, found: &[Ranked]) -> Result<Vec<Product>, sqlx::Error> {
    let ids: Vec<ProductId> = found.iter().map(|row| ProductId(row.id)).collect();
    let mut products: Vec<Product> = sqlx::query_as(
        "SELECT id, sku, name, description, price_minor, stock, created_at, updated_at
         FROM products WHERE id = ANY($1) AND deleted_at IS NULL",
    )
    .bind(&ids)
    .fetch_all(connection)
    .await?;
    products.sort_by_cached_key(|product| ids.iter().position(|id| *id == product.id));
    Ok(products)
}

/// One more than are ranked, which tells that there are more.
fn most_candidates() -> i64 {
    i64::try_from(MAX_RANKED).unwrap_or(i64::MAX).saturating_add(1)
}
