//! Live status: what happens to a customer's orders, pushed as it happens.
//!
//! The events table is the truth. News of whose events there are comes through Redis; the
//! [`relay`] then reads them for all connected users at once, and the [`hub`] hands each to
//! its owner's sockets. A socket's [`feed`] takes what continues its own numbers, and reads
//! the table itself for whatever it has not got: nothing is missed, doubled or out of order,
//! and nothing is kept in memory for a reader that is slow.

pub(crate) mod admission;
pub(crate) mod door;
pub(crate) mod feed;
pub(crate) mod hub;
mod impatient;
pub(crate) mod relay;
pub(crate) mod sessions;
pub(crate) mod socket_io;
pub(crate) mod websocket;
