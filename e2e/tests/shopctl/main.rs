//! What operators do with `shopctl`, on the real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod doctor;
mod import;
mod job_acts;
mod jobs;
mod keys;
mod migrations;
mod next_steps;
mod operators;
mod orders;
mod payments;
mod products;
mod run;
mod stock;
mod terminal;
mod users;
