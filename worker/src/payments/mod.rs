//! Charging and giving back: the gateways, how one attempt goes, and whether the books agree afterwards.

pub mod audit;
pub mod gateway;
pub mod handler;
pub mod measured;
pub mod refund;
pub mod remote;
pub mod simulated;
