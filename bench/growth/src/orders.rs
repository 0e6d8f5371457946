//! What orders cost to list and to place, by how many there were before.

use shop_bench_kit::options::Options;
use shop_bench_kit::shop::Shop;
use shop_common::verify::Ledger;

use crate::curves::{Chart, Curves};
use crate::probe;

const TIME: Chart = Chart {
    file: "orders-time",
    title: "Time of an answer, by past orders",
    x: "past orders",
    y: "ms at p50",
    by_tens: true,
};
/// Each has as many of the past orders as the others.
const CUSTOMERS: usize = 10;
const PRODUCTS: usize = 100;
/// Nobody runs out.
const STOCK: i64 = 1_000_000_000;

/// Lists the orders of customers, and places more.
pub(crate) async fn measure(options: &Options, shop: &Shop, size: usize, curves: &mut Curves) -> anyhow::Result<()> {
    let customers = shop.customers(CUSTOMERS).await?;
    let products = shop.products(PRODUCTS, STOCK).await?;
    shop.sold(size, &customers, &products).await?;
    shop.run("CHECKPOINT").await?;
    let api = shop.api(&[]).await?;
    let tokens = probe::tokens(shop, &customers).await?;
    let list = move |sent: usize| probe::get_as(&tokens[sent % tokens.len()], "/orders?take=20");
    curves.add(TIME, size, "GET /orders?take=20", probe::ask(options, shop, &api, list).await?.ms);
    let order = probe::orders(shop, &customers, &products).await?;
    curves.add(TIME, size, "POST /orders", probe::ask(options, shop, &api, order).await?.ms);
    api.stop().await?;
    shop.verify(Ledger::Elsewhere).await
}
