//! What products cost to show and to order, by how many there are.

use shop_bench_kit::exchange::Request;
use shop_bench_kit::options::Options;
use shop_bench_kit::shop::Shop;
use shop_common::verify::Ledger;

use crate::curves::{Chart, Curves};
use crate::probe::{self, Taken, drawn};

const TIME: Chart = Chart {
    file: "catalogue-time",
    title: "Time of an answer, by the size of the catalogue",
    x: "products",
    y: "ms at p50",
    by_tens: true,
};
const CPU: Chart = Chart {
    file: "catalogue-cpu",
    title: "Processor time of an answer, by the size of the catalogue",
    y: "µs of CPU, api and PostgreSQL",
    ..TIME
};
const CUSTOMERS: usize = 100;
/// Nobody runs out.
const STOCK: i64 = 1_000_000_000;

/// Asks for a page, for products, and for orders of them. Nothing is answered from memory.
pub(crate) async fn measure(options: &Options, shop: &Shop, size: usize, curves: &mut Curves) -> anyhow::Result<()> {
    let customers = shop.customers(CUSTOMERS).await?;
    let products = shop.products(size, STOCK).await?;
    shop.run("VACUUM ANALYZE").await?;
    shop.run("CHECKPOINT").await?;
    let api = shop.api(&[("ROCKET_CATALOGUE", "{fresh_ms=0}")]).await?;
    let mut note = |subject, taken: Taken| {
        curves.add(TIME, size, subject, taken.ms);
        curves.add(CPU, size, subject, taken.cpu_us);
    };
    let page = |_| Request::get("/products?take=20&orderBy=price", None);
    note("GET /products?take=20&orderBy=price", probe::ask(options, shop, &api, page).await?);
    let ids = products.clone();
    let product = move |sent| Request::get(&format!("/products/{}", drawn(&ids, sent)), None);
    note("GET /products/{id}", probe::ask(options, shop, &api, product).await?);
    let order = probe::orders(shop, &customers, &products).await?;
    note("POST /orders", probe::ask(options, shop, &api, order).await?);
    api.stop().await?;
    shop.verify(Ledger::Elsewhere).await
}
