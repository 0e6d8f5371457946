//! Metrics for Prometheus: which there are ([`catalogue`]), and how a daemon gives them out ([`Exporter`]).
//!
//! What happens is counted where it happens, by the macros of the crate `metrics`. What only *is* (a pool, a queue, the
//! process) is looked at when somebody reads. In a program that has not [installed](Exporter::install) an exporter
//! nothing is counted at all.

pub mod catalogue;
mod exporter;
pub mod pending;
mod process;
pub mod servers;

pub use self::catalogue::Daemon;
pub use self::exporter::Exporter;
