//! Orders: a customer's cart with the prices of the moment, and its road to the end.

mod batch;
pub mod cancel;
pub mod claim;
pub mod decision;
pub mod idempotency;
pub mod news;
pub mod place;
pub mod queries;
pub mod record;
pub mod refund;
pub mod settle;
mod shelf;
pub mod status;
pub mod timeline;
mod told;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{OrderId, OrderItemId, ProductId};
use crate::money::{Currency, Money};
use crate::payments::PaymentMethod;
use crate::products::Product;
use crate::time::{self, Timestamp};
use crate::whole::Whole;
use refund::Refund;
use status::OrderStatus;

/// An order as its customer sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Which one.
    pub id: OrderId,
    /// How far it is.
    pub status: OrderStatus,
    /// What it costs.
    pub total: Money,
    /// In which currency.
    pub currency: Currency,
    /// How it is paid.
    pub payment_method: PaymentMethod,
    /// When it was accepted.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it moved last.
    #[serde(serialize_with = "time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// What was ordered.
    pub order_items: Vec<OrderItem>,
    /// Its refund, if one was asked for. Lists leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund: Option<Refund>,
}

/// A line of an order.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    /// Which one.
    pub id: OrderItemId,
    /// How many pieces.
    pub quantity: i64,
    /// What one cost when it was ordered.
    pub price: Money,
    /// What was ordered, as the catalogue has it now.
    pub product: Product,
}

/// How many pieces of a product: 1 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(try_from = "Whole")]
#[schema(minimum = 1, maximum = 1000000, example = 2)]
pub struct Quantity(i64);

impl Quantity {
    /// The most pieces of a product in an order.
    pub const MAX: i64 = 1_000_000;

    /// The number of pieces.
    pub fn pieces(self) -> i64 {
        self.0
    }
}

impl TryFrom<Whole> for Quantity {
    type Error = &'static str;

    fn try_from(Whole(pieces): Whole) -> Result<Self, Self::Error> {
        Self::try_from(pieces)
    }
}

impl TryFrom<i64> for Quantity {
    type Error = &'static str;

    fn try_from(pieces: i64) -> Result<Self, Self::Error> {
        if (1..=Self::MAX).contains(&pieces) {
            Ok(Self(pieces))
        } else {
            Err("a quantity must be between 1 and 1000000")
        }
    }
}

/// What is in a cart: 1 to 1,000 products, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines(Vec<(ProductId, Quantity)>);

/// Why a cart cannot be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinesError {
    /// Nothing is in it.
    #[error("an order must have at least one item")]
    Empty,
    /// Too much is in it.
    #[error("an order can have at most {} items", Lines::MAX)]
    TooMany,
    /// The lines of one product add up to too many pieces.
    #[error("the quantities of product {0} add up to more than 1000000")]
    TooManyPieces(ProductId),
}

impl Lines {
    /// The most products of an order.
    pub const MAX: usize = 1000;

    /// A cart of these lines, in their order; a product on two lines becomes one line with the sum.
    ///
    /// # Errors
    /// When there are no lines, too many, or too many pieces of a product.
    pub fn new(lines: impl IntoIterator<Item = (ProductId, Quantity)>) -> Result<Self, LinesError> {
        let mut merged: Vec<(ProductId, Quantity)> = Vec::new();
        let mut place: BTreeMap<ProductId, usize> = BTreeMap::new();
        for (product, quantity) in lines {
            match place.entry(product) {
                Entry::Vacant(vacant) => {
                    vacant.insert(merged.len());
                    merged.push((product, quantity));
                }
                Entry::Occupied(at) => {
                    let line = &mut merged[*at.get()].1;
                    *line = Quantity::try_from(line.0 + quantity.0).map_err(|_| LinesError::TooManyPieces(product))?;
                }
            }
        }
        match merged.len() {
            0 => Err(LinesError::Empty),
            1..=Self::MAX => Ok(Self(merged)),
            _ => Err(LinesError::TooMany),
        }
    }

    /// The lines.
    pub fn iter(&self) -> impl Iterator<Item = (ProductId, i64)> + '_ {
        self.0.iter().map(|(product, quantity)| (*product, quantity.0))
    }

    /// How many lines there are.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(pieces: i64) -> Quantity {
        Quantity::try_from(pieces).unwrap()
    }

    #[test]
    fn the_same_product_on_two_lines_is_one_line_with_the_sum() {
        let (mug, tea) = (ProductId::new(), ProductId::new());

        let lines = Lines::new([(mug, quantity(1)), (tea, quantity(2)), (mug, quantity(3))]).unwrap();

        assert_eq!(lines.iter().collect::<Vec<_>>(), [(mug, 4), (tea, 2)]);
    }

    #[test]
    fn a_cart_is_neither_empty_nor_endless() {
        assert_eq!(Lines::new([]), Err(LinesError::Empty));
        let many = std::iter::repeat_with(|| (ProductId::new(), quantity(1))).take(Lines::MAX + 1);
        assert_eq!(Lines::new(many), Err(LinesError::TooMany));
        let mug = ProductId::new();
        assert_eq!(Lines::new([(mug, quantity(1_000_000)), (mug, quantity(1))]), Err(LinesError::TooManyPieces(mug)));
    }
}
