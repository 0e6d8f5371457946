//! The directory of users, as operators look somebody up: by role, by a part of an email, with all that is known of one.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::{PgPool, Postgres, QueryBuilder};
use utoipa::ToSchema;

use super::queries::{self, Account};
use super::{Email, Role};
use crate::id::{SessionId, UserId};
use crate::orders::status::OrderStatus;
use crate::pagination::cursor::{Kind, Position, Value};
use crate::pagination::total::{self, Total};
use crate::pagination::{Column, Page, PageRequest};
use crate::seed;
use crate::time::{self, Timestamp};

/// A part of an email, in lower case: 1 to 254 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EmailPart(String);

impl EmailPart {
    /// A pattern of `LIKE` that finds it anywhere, and in which no character means anything but itself.
    fn pattern(&self) -> String {
        let mut pattern = String::from("%");
        for character in self.0.chars() {
            if matches!(character, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern.push('%');
        pattern
    }
}

impl std::str::FromStr for EmailPart {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let part = text.trim().to_lowercase();
        let is_good = (1..=254).contains(&part.chars().count()) && !part.contains('\0');
        if is_good { Ok(Self(part)) } else { Err("a part of an email must have 1 to 254 characters") }
    }
}

/// Which users are listed: those that pass all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UserFilter {
    /// Who may do that.
    pub role: Option<Role>,
    /// Whose email has this in it.
    pub email: Option<EmailPart>,
}

impl UserFilter {
    /// ` FROM … WHERE …`
    fn push_matches(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(" FROM users WHERE true");
        if let Some(role) = self.role {
            query.push(" AND role = ").push_bind(role);
        }
        if let Some(email) = &self.email {
            query.push(" AND email LIKE ").push_bind(email.pattern());
        }
    }
}

/// What a list of users can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum UserColumn {
    /// The id, which is the order of making.
    Id,
    /// The email.
    Email,
}

impl Column for UserColumn {
    const LIST: &'static str = "users";
    const ID: &'static str = "id";
    type Row = Account;

    fn sql(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Email => "email",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Id => Kind::Id,
            Self::Email => Kind::Text,
        }
    }

    fn position(self, user: &Account) -> Position {
        let value = match self {
            Self::Id => Value::Id,
            Self::Email => Value::Text(user.email.as_str().to_owned()),
        };
        Position { value, id: user.id.0 }
    }
}

/// A page of the users.
///
/// # Errors
/// When the database refuses.
pub async fn list(
    pool: &PgPool,
    filter: &UserFilter,
    page: &PageRequest<UserColumn>,
) -> Result<Page<Account>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let matches = |query: &mut QueryBuilder<Postgres>| filter.push_matches(query);
    let mut query = QueryBuilder::new("SELECT id, email, name, role, created_at");
    matches(&mut query);
    page.push_end(&mut query);
    // With a filter, which plan is best hangs on its values: it is not to be one plan for all of them.
    let is_plain = *filter == UserFilter::default();
    let rows: Vec<Account> = query.build_query_as().persistent(is_plain).fetch_all(&mut *connection).await?;
    let total = match page.whole_list(rows.len()) {
        Some(rows) => Total::exactly(rows),
        None => total::count(&mut connection, matches).await?,
    };
    Ok(page.page(rows, total))
}

/// The user with that email, if there is one.
///
/// # Errors
/// When the database refuses.
pub async fn find_by_email(pool: &PgPool, email: &Email) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as("SELECT id, email, name, role, created_at FROM users WHERE email = $1")
        .bind(email)
        .fetch_optional(pool)
        .await
}

/// A time for which somebody is logged in, and still is.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveSession {
    /// Which one.
    pub id: SessionId,
    /// Since when.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Until when at the latest.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// All that is known of a user, but for the hash of their password.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserRecord {
    /// Who.
    #[serde(flatten)]
    pub account: Account,
    /// Whether their password is the one of development, that everybody knows.
    pub default_password: bool,
    /// Where they are logged in, the newest first.
    pub sessions: Vec<ActiveSession>,
    /// How many orders of theirs have which status; those of which there are any.
    pub orders: BTreeMap<String, i64>,
}

/// All that is known of a user. Takes as long as a login for the admin of development, whose password is tried.
///
/// # Errors
/// When the database refuses.
pub async fn find(pool: &PgPool, user: UserId) -> Result<Option<UserRecord>, sqlx::Error> {
    let Some(account) = queries::account(pool, user).await? else { return Ok(None) };
    // Nobody else can have that password.
    let default_password = account.email.as_str() == seed::ADMIN_EMAIL && seed::has_development_admin(pool).await?;
    let sessions = sessions(pool, user).await?;
    let orders: Vec<(OrderStatus, i64)> =
        sqlx::query_as("SELECT status, count(*) FROM orders WHERE user_id = $1 GROUP BY status")
            .bind(user)
            .fetch_all(pool)
            .await?;
    let orders = orders.into_iter().map(|(status, count)| (status.as_str().to_owned(), count)).collect();
    Ok(Some(UserRecord { account, default_password, sessions, orders }))
}

/// Where a user is logged in, the newest first.
///
/// # Errors
/// When the database refuses.
pub async fn sessions(pool: &PgPool, user: UserId) -> Result<Vec<ActiveSession>, sqlx::Error> {
    sqlx::query_as(
        "SELECT s.id, s.created_at, s.expires_at FROM sessions s JOIN users u ON u.id = s.user_id
         WHERE s.user_id = $1 AND s.revoked_at IS NULL AND s.expires_at > now()
           AND s.token_generation = u.token_generation
         ORDER BY s.created_at DESC, s.id DESC",
    )
    .bind(user)
    .fetch_all(pool)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_of_a_part_means_anything_but_itself() {
        let part: EmailPart = " A_b%c\\D ".parse().unwrap();
        assert_eq!(part.pattern(), r"%a\_b\%c\\d%");
        assert!("  ".parse::<EmailPart>().is_err());
    }
}
