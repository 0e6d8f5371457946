//! What is measured: two doors of the shop, and the rival.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::wire::Wire;

/// A server with one kind of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The shop's api, plain WebSockets.
    ShopWs,
    /// The shop's api, clients of Socket.IO.
    ShopSocketIo,
    /// socket.io on Node, the same clients.
    Rival,
}

impl Target {
    /// All, in the order in which they are measured.
    pub(crate) const ALL: [Self; 3] = [Self::ShopWs, Self::ShopSocketIo, Self::Rival];

    /// What its clients speak.
    pub(crate) fn wire(self) -> Wire {
        match self {
            Self::ShopWs => Wire::Plain,
            Self::ShopSocketIo | Self::Rival => Wire::SocketIo,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ShopWs => "shop /ws",
            Self::ShopSocketIo => "shop Socket.IO",
            Self::Rival => "rival Socket.IO",
        })
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
