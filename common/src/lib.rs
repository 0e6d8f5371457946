//! What the shop knows, whoever asks: the types, the rules and the queries that
//! the api, the worker and the command line share.
//!
//! Modules are features (`orders`, `jobs`), not layers. HTTP is unknown here, and so
//! are payment gateways: the api cannot charge because it cannot name one.

pub mod chaos;
pub mod config;
pub mod db;
pub mod doctor;
pub mod events;
pub mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod group;
pub mod health;
pub mod id;
pub mod jobs;
pub mod metrics;
pub mod migrations;
pub mod money;
pub mod orders;
pub mod pagination;
pub mod payments;
pub mod products;
pub mod reason;
pub mod redis;
pub mod repair;
pub mod seed;
pub mod telemetry;
pub mod time;
pub mod trace;
pub mod users;
pub mod verify;
pub mod whole;
