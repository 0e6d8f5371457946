//! Products: what is sold, at what price, and how much of it there is.

pub mod changes;
pub mod export;
pub mod import;
pub mod movements;
pub mod queries;
pub mod search;
mod sku;
pub mod stock;

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::sku::Sku;
use crate::id::ProductId;
use crate::money::{Money, MoneyError};
use crate::pagination::Column;
use crate::pagination::cursor::{Kind, Position, Value};
use crate::time::{self, Timestamp};
use crate::whole::Whole;

/// A product as customers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// Which one.
    pub id: ProductId,
    /// What the shop's own people call it, if they do.
    pub sku: Option<Sku>,
    /// What it is called.
    pub name: String,
    /// What it is.
    pub description: String,
    /// What one costs.
    #[sqlx(rename = "price_minor")]
    pub price: Money,
    /// How many can be ordered.
    pub stock: i64,
    /// Since when it is there.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was edited last (orders are no edits).
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// A product, and how often it was edited.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Versioned {
    /// The product.
    #[sqlx(flatten)]
    pub product: Product,
    /// 1 for a new product, and one more with each edit (orders are no edits).
    pub version: i64,
}

impl Versioned {
    /// Which state of the product this is.
    pub fn revision(&self) -> Revision {
        Revision { version: self.version, stock: self.product.stock }
    }
}

/// Which state of a product somebody has seen: how often it was edited, and how many there were.
///
/// A text such as `3-17`. Two states of a product that have the same one are equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Revision {
    version: i64,
    stock: i64,
}

impl Revision {
    /// What was in stock.
    pub fn stock(self) -> i64 {
        self.stock
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.version, self.stock)
    }
}

/// The text names no state of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be a version and a stock, for example 3-17")]
pub struct RevisionError;

impl std::str::FromStr for Revision {
    type Err = RevisionError;

    /// Reads what `Display` writes, and no other spelling of it.
    fn from_str(text: &str) -> Result<Self, RevisionError> {
        let (version, stock) = text.split_once('-').ok_or(RevisionError)?;
        let (Ok(version), Ok(stock)) = (version.parse(), stock.parse()) else { return Err(RevisionError) };
        let revision = Self { version, stock };
        let possible = version > 0 && stock >= 0;
        if possible && revision.to_string() == text { Ok(revision) } else { Err(RevisionError) }
    }
}

/// Which states of a product an edit is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Whichever it is in.
    Any,
    /// One of these; with none, the edit is never made.
    OneOf(Vec<Revision>),
}

impl Expected {
    fn allows(&self, revision: Revision) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(revisions) => revisions.contains(&revision),
        }
    }
}

/// What a product is called: 1 to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, sqlx::Type, ToSchema)]
#[serde(try_from = "String")]
#[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*\S[^\x00]*$", example = "Enamel mug")]
#[sqlx(transparent)]
pub struct ProductName(String);

impl ProductName {
    /// Its characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProductName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = text.trim();
        if (1..=200).contains(&name.chars().count()) && is_storable(name) {
            Ok(Self(name.to_owned()))
        } else {
            Err("a product's name must have 1 to 200 characters")
        }
    }
}

/// What a product is: up to 5,000 characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, sqlx::Type, ToSchema)]
#[serde(try_from = "String")]
#[schema(max_length = 5000, pattern = r"^[^\x00]*$", example = "White, with a blue rim. 350 ml.")]
#[sqlx(transparent)]
pub struct Description(String);

impl Description {
    /// Its characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Description {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.chars().count() <= 5000 && is_storable(&text) {
            Ok(Self(text))
        } else {
            Err("a product's description must have at most 5000 characters")
        }
    }
}

/// PostgreSQL holds every text but one with a NUL in it.
fn is_storable(text: &str) -> bool {
    !text.contains('\0')
}

/// What one piece costs: 0.01 to 1,000,000,000.00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, sqlx::Type, ToSchema)]
#[serde(try_from = "Money")]
#[schema(value_type = f64, minimum = 0.01, maximum = 1000000000, multiple_of = 0.01, example = json!(19.99))]
#[sqlx(transparent)]
pub struct Price(Money);

impl Price {
    /// The amount.
    pub fn money(self) -> Money {
        self.0
    }
}

impl TryFrom<Money> for Price {
    type Error = &'static str;

    fn try_from(money: Money) -> Result<Self, Self::Error> {
        if (1..=100_000_000_000).contains(&money.minor()) {
            Ok(Self(money))
        } else {
            Err("a price must be between 0.01 and 1000000000.00")
        }
    }
}

impl std::str::FromStr for Price {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        Self::try_from(text.parse::<Money>()?).map_err(PriceError::OutOfRange)
    }
}

/// Why a text is no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// Not an amount of money.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// Too small or too large for one piece.
    #[error("{0}")]
    OutOfRange(&'static str),
}

/// How many pieces there are: 0 to 1,000,000,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, sqlx::Type, ToSchema)]
#[serde(try_from = "Whole")]
#[schema(minimum = 0, maximum = 1000000000000_i64, example = 100)]
#[sqlx(transparent)]
pub struct Stock(i64);

impl Stock {
    /// The number of pieces.
    pub fn pieces(self) -> i64 {
        self.0
    }
}

impl TryFrom<Whole> for Stock {
    type Error = &'static str;

    fn try_from(Whole(pieces): Whole) -> Result<Self, Self::Error> {
        Self::try_from(pieces)
    }
}

impl TryFrom<i64> for Stock {
    type Error = &'static str;

    fn try_from(pieces: i64) -> Result<Self, Self::Error> {
        if (0..=1_000_000_000_000).contains(&pieces) {
            Ok(Self(pieces))
        } else {
            Err("stock must be between 0 and 1000000000000")
        }
    }
}

impl std::str::FromStr for Stock {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pieces: i64 = text.parse().map_err(|_| "stock must be a whole number from 0 to 1000000000000")?;
        Self::try_from(pieces)
    }
}

/// A product that is not in the catalogue yet.
#[derive(Debug, Clone)]
pub struct NewProduct {
    /// What the shop's own people call it, if they do.
    pub sku: Option<Sku>,
    /// What it is called.
    pub name: ProductName,
    /// What it is.
    pub description: Description,
    /// What one costs.
    pub price: Price,
    /// How many there are.
    pub stock: Stock,
}

/// What changes of a product; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct ProductChanges {
    /// What the shop's own people call it; `Some(None)` takes it away.
    pub sku: Option<Option<Sku>>,
    /// What it is called.
    pub name: Option<ProductName>,
    /// What it is.
    pub description: Option<Description>,
    /// What one costs. Orders that were placed keep their price.
    pub price: Option<Price>,
    /// How many there are now, whatever there were before; recorded as a movement.
    pub stock: Option<Stock>,
}

/// Which products are listed: those that pass all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProductFilter {
    /// That cost so much at least.
    pub min_price: Option<Money>,
    /// That cost so much at most.
    pub max_price: Option<Money>,
    /// That can be ordered now, or that cannot.
    pub in_stock: Option<bool>,
    /// Of which there are so many at most. (Left out of cursors where it is not asked for, so that those of before are good.)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_stock: Option<i64>,
    /// The one that has this sku. (Left out of cursors where it is not asked for, so that those of before are good.)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
}

impl ProductFilter {
    /// Whether all pass.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it hangs on the stock which pass.
    pub(crate) fn is_about_stock(&self) -> bool {
        self.in_stock.is_some() || self.max_stock.is_some()
    }
}

/// What a list of products can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ProductColumn {
    /// The id, which is the order of making.
    Id,
    /// The name.
    Name,
    /// The price.
    Price,
    /// The stock.
    Stock,
    /// The time of making.
    CreatedAt,
    /// The time of the last edit.
    UpdatedAt,
}

impl Column for ProductColumn {
    const LIST: &'static str = "products";
    const ID: &'static str = "id";
    type Row = Product;

    fn sql(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Price => "price_minor",
            Self::Stock => "stock",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Id => Kind::Id,
            Self::Name => Kind::Text,
            Self::Price | Self::Stock => Kind::Number,
            Self::CreatedAt | Self::UpdatedAt => Kind::Time,
        }
    }

    fn position(self, product: &Product) -> Position {
        let value = match self {
            Self::Id => Value::Id,
            Self::Name => Value::Text(product.name.clone()),
            Self::Price => Value::Number(product.price.minor()),
            Self::Stock => Value::Number(product.stock),
            Self::CreatedAt => Value::Time(product.created_at),
            Self::UpdatedAt => Value::Time(product.updated_at),
        };
        Position { value, id: product.id.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_at_least_a_cent_and_a_stock_is_not_negative() {
        assert!("0.01".parse::<Price>().is_ok());
        assert!("0".parse::<Price>().is_err());
        assert!("1000000000.01".parse::<Price>().is_err());
        assert!(Stock::try_from(-1).is_err());
    }

    #[test]
    fn a_revision_has_one_spelling() {
        let revision = Revision { version: 3, stock: 17 };
        assert_eq!((revision.to_string().as_str(), "3-17".parse()), ("3-17", Ok(revision)));
        for other in ["", "3", "-", "3-", "-17", "03-17", "3-017", "+3-17", "3--17", "3-17 ", "3-17-1", "three-17"] {
            assert_eq!(other.parse::<Revision>(), Err(RevisionError), "{other:?}");
        }
    }

    #[test]
    fn an_edit_that_expects_nothing_in_particular_is_always_made_and_one_that_expects_nothing_never() {
        let revision = Revision { version: 3, stock: 17 };
        assert!(Expected::Any.allows(revision));
        assert!(Expected::OneOf(vec![Revision { version: 2, stock: 17 }, revision]).allows(revision));
        assert!(!Expected::OneOf(vec![Revision { version: 3, stock: 16 }]).allows(revision));
        assert!(!Expected::OneOf(Vec::new()).allows(revision));
    }

    #[test]
    fn a_name_is_trimmed_and_never_empty() {
        assert_eq!(ProductName::try_from(" Mug ".to_owned()), Ok(ProductName("Mug".to_owned())));
        assert!(ProductName::try_from("  ".to_owned()).is_err());
        assert!(ProductName::try_from("a\0b".to_owned()).is_err());
    }
}
