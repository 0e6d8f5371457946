//! Charging: the gateways and how one attempt goes.

pub mod gateway;
pub mod handler;
pub mod remote;
pub mod simulated;
