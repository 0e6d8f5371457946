//! What several benchmarks need: databases, servers as child processes, and what these cost.

pub mod database;
pub mod process;
pub mod server;
