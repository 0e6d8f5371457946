//! Live status: what happens to a customer's orders, pushed as it happens.
//!
//! A socket is never sent what it is told, but what the events table says after
//! the number that it has: news (from the [`relay`], through the [`hub`]) only
//! says that it is time to look. So nothing is missed, doubled or out of order,
//! and nothing is kept in memory for a reader that is slow.

pub(crate) mod door;
mod feed;
pub(crate) mod hub;
pub(crate) mod relay;
pub(crate) mod socket_io;
pub(crate) mod websocket;
