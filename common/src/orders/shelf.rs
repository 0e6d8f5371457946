//! The shelf: the products of a group of orders, locked, and what is taken of them.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::Lines;
use super::decision::{NewOrder, Refusal};
use crate::id::ProductId;
use crate::money::Money;
use crate::products::Product;
use crate::time::Timestamp;

/// The locked products of a group and what is taken of them.
pub(super) struct Shelf {
    products: BTreeMap<ProductId, Product>,
    pub(super) taken: BTreeMap<ProductId, i64>,
    pub(super) now: Timestamp,
}

impl Shelf {
    pub(super) async fn lock(connection: &mut PgConnection, orders: &[NewOrder]) -> Result<Self, sqlx::Error> {
        #[derive(sqlx::FromRow)]
        struct Row {
            now: Timestamp,
            #[sqlx(flatten)]
            product: Product,
        }
        let ids: Vec<ProductId> =
            orders.iter().flat_map(|order| order.lines.iter().map(|(product, _)| product)).collect();
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT now() AS now, id, sku, name, description, price_minor, stock, created_at, updated_at
             FROM products WHERE id = ANY($1) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE",
        )
        .bind(&ids)
        .fetch_all(connection)
        .await?;
        let now = rows.first().map_or_else(Timestamp::default, |row| row.now);
        Ok(Self {
            products: rows.into_iter().map(|row| (row.product.id, row.product)).collect(),
            taken: BTreeMap::new(),
            now,
        })
    }

    /// Takes all lines of a cart or nothing: the decision, without a database.
    pub(super) fn take(&mut self, lines: &Lines) -> Result<(Money, Vec<(Product, i64)>), Refusal> {
        let mut total = Some(Money::default());
        let mut cart = Vec::with_capacity(lines.len());
        for (id, requested) in lines.iter() {
            let product = self.products.get(&id).ok_or(Refusal::UnknownProduct(id))?;
            if product.stock < requested {
                return Err(Refusal::InsufficientStock { product: id, requested, available: product.stock });
            }
            let price = product.price.times(requested);
            total = total.zip(price).and_then(|(total, price)| total.plus(price));
            cart.push((id, requested));
        }
        let total = total.ok_or(Refusal::TotalTooLarge)?;
        let cart = cart
            .into_iter()
            .filter_map(|(id, quantity)| {
                let product = self.products.get_mut(&id)?;
                product.stock -= quantity;
                *self.taken.entry(id).or_default() += quantity;
                Some((product.clone(), quantity))
            })
            .collect();
        Ok((total, cart))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::orders::Quantity;

    pub(in crate::orders) fn shelf(stocks: &[i64]) -> (Shelf, Vec<ProductId>) {
        let ids: Vec<ProductId> = stocks.iter().map(|_| ProductId::new()).collect();
        let products = ids.iter().zip(stocks).map(|(id, stock)| {
            let product = Product {
                id: *id,
                sku: None,
                name: "Mug".to_owned(),
                description: String::new(),
                price: Money::from_minor(250).unwrap(),
                stock: *stock,
                created_at: Timestamp::default(),
                updated_at: Timestamp::default(),
            };
            (*id, product)
        });
        (Shelf { products: products.collect(), taken: BTreeMap::new(), now: Timestamp::default() }, ids)
    }

    pub(in crate::orders) fn cart(lines: &[(ProductId, i64)]) -> Lines {
        Lines::new(lines.iter().map(|(id, pieces)| (*id, Quantity::try_from(*pieces).unwrap()))).unwrap()
    }

    #[test]
    fn a_cart_with_one_line_too_many_takes_nothing() {
        let (mut shelf, ids) = shelf(&[5, 1]);

        let refused = shelf.take(&cart(&[(ids[0], 5), (ids[1], 2)]));

        assert_eq!(refused, Err(Refusal::InsufficientStock { product: ids[1], requested: 2, available: 1 }));
        assert!(shelf.taken.is_empty());
        assert_eq!(shelf.products[&ids[0]].stock, 5);
    }

    #[test]
    fn an_unknown_product_is_named() {
        let (mut shelf, _) = shelf(&[5]);
        let nobodys = ProductId::new();
        assert_eq!(shelf.take(&cart(&[(nobodys, 1)])), Err(Refusal::UnknownProduct(nobodys)));
    }

    #[test]
    fn the_total_is_the_sum_of_price_times_quantity() {
        let (mut shelf, ids) = shelf(&[5, 5]);
        let (total, _) = shelf.take(&cart(&[(ids[0], 2), (ids[1], 3)])).unwrap();
        assert_eq!(total.to_string(), "12.50");
    }

    proptest! {
        /// Orders of a group are decided as if they had come one at a time, and what
        /// was taken is exactly what was promised.
        #[test]
        fn a_group_takes_what_its_accepted_orders_hold_and_never_more_than_there_is(
            stocks in prop::collection::vec(0..50_i64, 4),
            orders in prop::collection::vec(prop::collection::vec((0..4_usize, 1..20_i64), 1..4), 1..40),
        ) {
            let (mut shelf, ids) = shelf(&stocks);
            let mut left: Vec<i64> = stocks.clone();
            for order in orders {
                let lines = cart(&order.iter().map(|(n, pieces)| (ids[*n], *pieces)).collect::<Vec<_>>());
                let wanted: Vec<i64> = ids.iter()
                    .map(|id| lines.iter().filter(|(line, _)| line == id).map(|(_, pieces)| pieces).sum())
                    .collect();
                let fits = wanted.iter().zip(&left).all(|(wanted, left)| wanted <= left);
                prop_assert_eq!(shelf.take(&lines).is_ok(), fits);
                if fits {
                    left.iter_mut().zip(&wanted).for_each(|(left, wanted)| *left -= wanted);
                }
            }
            for ((id, stock), left) in ids.iter().zip(&stocks).zip(&left) {
                prop_assert!(*left >= 0);
                prop_assert_eq!(shelf.products[id].stock, *left);
                prop_assert_eq!(shelf.taken.get(id).copied().unwrap_or(0), stock - left);
            }
        }
    }
}
