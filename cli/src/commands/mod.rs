//! One module per command, and what several commands print.

pub(crate) mod admin;
pub(crate) mod config;
mod detach;
pub(crate) mod docs;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod logs;
pub(crate) mod migrate;
mod next_steps;
pub(crate) mod openapi;
pub(crate) mod orders;
pub(crate) mod payments;
mod preflight;
pub(crate) mod products;
mod progress;
pub(crate) mod services;
pub(crate) mod status;
pub(crate) mod stock;
pub(crate) mod up;
pub(crate) mod users;
pub(crate) mod verify;
pub(crate) mod workers;
