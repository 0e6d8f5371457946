//! What comes over a socket, read no further than needed: the number of a change.

/// What the clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// JSON messages over a plain WebSocket, `{seq, type, data}`.
    Plain,
    /// Packets of Engine.IO 4 and Socket.IO 5 over WebSocket.
    SocketIo,
}

/// A message, as far as it is of interest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// A change of status, with the user's number for it.
    Change(usize),
    /// The server asks for a sign of life.
    Ping,
    /// Anything else; there should be none.
    Other,
}

impl Wire {
    /// Reads a message.
    pub(crate) fn read(self, text: &str) -> Packet {
        let number = match self {
            Self::Plain => number_at_top(text),
            Self::SocketIo if text == "2" => return Packet::Ping,
            Self::SocketIo => last_argument(text),
        };
        number.map_or(Packet::Other, Packet::Change)
    }
}

/// The `seq` of a message. An order has no field of that name.
fn number_at_top(text: &str) -> Option<usize> {
    const NAME: &str = "\"seq\":";
    let digits = text.get(text.rfind(NAME)? + NAME.len()..)?;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The last argument of a `status` in the namespace `/orders`.
fn last_argument(text: &str) -> Option<usize> {
    let arguments = text.strip_prefix("42/orders,[\"status\",")?.strip_suffix(']')?;
    arguments.rsplit_once(',')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_known_by_its_number_wherever_it_stands() {
        let first = r#"{"seq":17,"type":"order.status","data":{"total":3}}"#;
        let between = r#"{"data":{"total":3},"seq":17,"type":"order.status"}"#;
        for text in [first, between] {
            assert_eq!(Wire::Plain.read(text), Packet::Change(17));
        }
        assert_eq!(Wire::SocketIo.read(r#"42/orders,["status",{"total":3,"x":[1,2]},17]"#), Packet::Change(17));
    }

    #[test]
    fn what_is_no_change_is_told_apart() {
        assert_eq!(Wire::SocketIo.read("2"), Packet::Ping);
        for text in [r#"42/orders,["error","the token has expired"]"#, "41/orders,", r#"42/orders,["status",{}]"#] {
            assert_eq!(Wire::SocketIo.read(text), Packet::Other, "{text}");
        }
        assert_eq!(Wire::Plain.read("{}"), Packet::Other);
    }
}
