//! One module per command, and what several commands print.

pub(crate) mod admin;
mod detach;
pub(crate) mod down;
pub(crate) mod jobs;
pub(crate) mod migrate;
mod next_steps;
pub(crate) mod payments;
mod preflight;
pub(crate) mod services;
pub(crate) mod status;
pub(crate) mod stock;
pub(crate) mod up;
pub(crate) mod verify;
