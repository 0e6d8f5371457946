//! What is ordered: by whom, how much at once, and of what.

use shop_bench_kit::report::Hope;

/// Who orders, at most: a user for each connection.
pub(crate) const CUSTOMERS: usize = 256;
/// How many products a shop without a real catalogue has.
pub(crate) const PRODUCTS: usize = 100;

/// A load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) clients: usize,
    pub(crate) carts: Carts,
    /// Whether each order has an `Idempotency-Key`. The rival's never have one.
    pub(crate) keyed: bool,
    /// How many times the rival's orders.
    pub(crate) rate: Option<Hope>,
    /// How many times the rival's p99.
    pub(crate) p99: Option<Hope>,
}

/// What is in the carts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carts {
    /// One piece of one of all products, each as often as the others.
    Even,
    /// One piece of the same product, always.
    Hot,
    /// Half of them the one, half the other.
    Mixed,
    /// The carts of a real shop.
    Real,
}

/// All of them.
pub(crate) const WORKS: [Work; 6] = {
    let work = Work { name: "", clients: 32, carts: Carts::Even, keyed: false, rate: None, p99: None };
    [
        Work { name: "32 clients, 100 products", rate: Some(Hope::AtLeast(1.0)), ..work },
        Work { name: "32 clients, 100 products, keyed", keyed: true, ..work },
        Work { name: "32 clients, one hot product", carts: Carts::Hot, rate: Some(Hope::AtLeast(5.0)), ..work },
        Work { name: "256 clients, mixed", clients: 256, carts: Carts::Mixed, rate: Some(Hope::AtLeast(2.0)), ..work },
        Work { name: "32 clients, real carts", carts: Carts::Real, rate: Some(Hope::AtLeast(1.5)), ..work },
        Work { name: "one client", clients: 1, rate: Some(Hope::AtLeast(0.5)), p99: Some(Hope::AtMost(3.0)), ..work },
    ]
};

/// Numbers that look as if drawn, and are the same in each run: the step of a linear congruential generator
/// (Knuth, The Art of Computer Programming 2, 3.3.4), of which the upper bits are taken.
pub(crate) fn draw(seed: usize, below: usize) -> usize {
    let mixed = (seed as u64).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (mixed >> 33) as usize % below.max(1)
}

/// The product of a cart with one line.
pub(crate) fn product(carts: Carts, seed: usize) -> usize {
    match carts {
        Carts::Hot => 0,
        Carts::Mixed if draw(seed, 2) == 0 => 0,
        _ => draw(seed.wrapping_mul(7), PRODUCTS),
    }
}
