//! What several benchmarks need: servers as child processes, what these cost, a load, the rival `pgbench`, and a report.

pub mod database;
pub mod exchange;
pub mod load;
pub mod machine;
pub mod meter;
pub mod options;
pub mod pgbench;
pub mod process;
pub mod report;
pub mod server;
pub mod shop;
pub mod signer;
