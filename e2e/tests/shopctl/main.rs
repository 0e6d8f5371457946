//! What operators do with `shopctl`, on the real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod operators;
mod products;
mod run;
