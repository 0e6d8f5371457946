//! The private stack: a PostgreSQL, a Redis, apis and workers that belong to
//! one folder and to nobody else.
//!
//! `home` is the folder, `servers` and `install` find the programs, `databases`
//! decides which server is ours (`postgres`, `redis`) and which is given,
//! `programs` describes the shop's own binaries. A `service` is one program to
//! run, a `keeper` keeps it running, the `supervisor` keeps them all and stops
//! them in order. `state` says to other commands what runs.

pub(crate) mod account;
pub(crate) mod databases;
pub(crate) mod files;
pub(crate) mod home;
pub(crate) mod install;
mod keeper;
pub(crate) mod lines;
pub(crate) mod log;
pub(crate) mod ports;
mod postgres;
pub(crate) mod probe;
pub(crate) mod process;
pub(crate) mod programs;
mod redis;
mod remembered;
mod servers;
pub(crate) mod service;
pub(crate) mod signals;
pub(crate) mod state;
pub(crate) mod supervisor;
