//! Charging: the gateways, how one attempt goes, and whether the books agree afterwards.

pub mod audit;
pub mod gateway;
pub mod handler;
pub mod remote;
pub mod simulated;
