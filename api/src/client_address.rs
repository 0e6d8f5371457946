//! Who is at the other end: the address of the client, also behind proxies.
//!
//! A proxy appends the address that it is talked to from to `X-Forwarded-For`. What stands before that, anybody may
//! have written. So the list is read from its end, for as long as those who wrote it are trusted (`requests.trusted_proxies`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use rocket::Request;
use rocket::request::{FromRequest, Outcome};

const HEADER: &str = "X-Forwarded-For";

/// The networks of the proxies whose word counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedProxies(pub(crate) Vec<IpNet>);

/// The address of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddress(IpAddr);

impl ClientAddress {
    /// The client of a request, looked for once.
    pub(crate) fn of<'r>(request: &'r Request<'_>) -> &'r Self {
        request.local_cache(|| {
            // There is a peer wherever there is a network.
            let peer = request.remote().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
            match request.rocket().state() {
                Some(TrustedProxies(trusted)) => Self::behind(peer, request.headers().get(HEADER), trusted),
                None => Self(peer.to_canonical()),
            }
        })
    }

    /// The rightmost address of the chain that is no trusted proxy; where all are, the first. Where the chain cannot be
    /// read so far, or the peer is not trusted to write one, the peer.
    fn behind<'h>(peer: IpAddr, headers: impl Iterator<Item = &'h str>, trusted: &[IpNet]) -> Self {
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
        let peer = peer.to_canonical();
        if !is_trusted(peer) {
            return Self(peer);
        }
        // A header that comes twice is one list.
        let headers: Vec<&str> = headers.collect();
        let mut first = peer;
        for entry in headers.into_iter().rev().flat_map(|header| header.rsplit(',')) {
            let Some(address) = parse(entry.trim()) else { return Self(peer) };
            if !is_trusted(address) {
                return Self(address);
            }
            first = address;
        }
        Self(first)
    }

    /// What counts as one client: an IPv4 address; of IPv6 the first 64 bits, because a customer has all addresses below them.
    pub(crate) fn network(&self) -> String {
        match self.0 {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        }
    }
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = || IpAddr::from_str(entry).ok();
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || SocketAddr::from_str(entry).ok().map(|address| address.ip());
    bare().or_else(bracketed).or_else(with_port).map(|address| address.to_canonical())
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
impl FromStr for ClientAddress {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for ClientAddress {
    type Error = std::convert::Infallible;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Self::Error> {
        Outcome::Success(*Self::of(request))
    }
}

/// Whatever is written, the client is the peer or somebody in the chain, and what a client writes before its own address
/// changes nothing. A line for each header.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let peer = IpAddr::from([10, 0, 0, 1]);
    let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].iter().filter_map(|network| network.parse().ok()).collect();

    let ClientAddress(found) = ClientAddress::behind(peer, text.lines(), &trusted);
    let mut named = text.lines().flat_map(|header| header.split(',')).filter_map(|entry| parse(entry.trim()));
    assert!(found == peer || named.any(|address| address == found), "{found}");

    let client = ClientAddress(IpAddr::from([192, 0, 2, 7]));
    let chain = format!("{text}, {client}, 10.9.9.9");
    assert_eq!(ClientAddress::behind(peer, chain.lines(), &trusted), client);
    assert_eq!(ClientAddress::behind(client.0, text.lines(), &trusted), client, "a stranger's chain is not read");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn trusted() -> Vec<IpNet> {
        ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).to_vec()
    }

    fn client(peer: &str, headers: &[&str]) -> String {
        ClientAddress::behind(peer.parse().unwrap(), headers.iter().copied(), &trusted()).to_string()
    }

    #[test]
    fn the_client_is_the_last_address_that_no_trusted_proxy_has() {
        for (peer, headers, expected) in [
            ("192.0.2.7", &["198.51.100.1"][..], "192.0.2.7"),
            (PROXY, &[], PROXY),
            (PROXY, &["198.51.100.1"], "198.51.100.1"),
            (PROXY, &["198.51.100.1, 10.9.9.9"], "198.51.100.1"),
            (PROXY, &["127.0.0.1, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
            (PROXY, &["198.51.100.1", "198.51.100.2", "10.9.9.9"], "198.51.100.2"),
            (PROXY, &["10.2.2.2, 10.3.3.3"], "10.2.2.2"),
            (PROXY, &["2001:db8::1"], "2001:db8::1"),
            (PROXY, &["[2001:db8::1]:4711"], "2001:db8::1"),
            (PROXY, &["[2001:db8::1]"], "2001:db8::1"),
            (PROXY, &["198.51.100.1:4711 ,10.9.9.9:80"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("fd00::1", &["198.51.100.1"], "198.51.100.1"),
            // What cannot be read, where it matters.
            (PROXY, &["198.51.100.1, unknown"], PROXY),
            (PROXY, &["198.51.100.1,"], PROXY),
            (PROXY, &[""], PROXY),
            (PROXY, &["198.51.100.1, 999.1.1.1, 10.9.9.9"], PROXY),
            // And where it does not.
            (PROXY, &["unknown, 198.51.100.1"], "198.51.100.1"),
        ] {
            assert_eq!(client(peer, headers), expected, "{peer} {headers:?}");
        }
    }

    #[test]
    fn one_client_is_an_address_or_a_network_of_64_bits() {
        for (address, network) in [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ] {
            assert_eq!(address.parse::<ClientAddress>().unwrap().network(), network);
        }
    }

    fn addresses() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<[u8; 16]>().prop_map(|bytes| IpAddr::from(bytes).to_canonical()),
        ]
    }

    /// Not in a network that is trusted.
    fn strangers() -> impl Strategy<Value = IpAddr> {
        addresses().prop_filter("trusted", |address| !trusted().iter().any(|network| network.contains(address)))
    }

    fn proxies() -> impl Strategy<Value = Vec<IpAddr>> {
        prop::collection::vec(any::<[u8; 3]>().prop_map(|[a, b, c]| IpAddr::from([10, a, b, c])), 0..4)
    }

    proptest! {
        #[test]
        fn what_a_client_writes_before_its_address_changes_nothing(
            written in "[^\r\n]{0,80}", client in strangers(), proxies in proxies(), ports in any::<bool>(),
        ) {
            let mut chain = written;
            for address in [client].iter().chain(&proxies) {
                let entry = if ports { SocketAddr::new(*address, 4711).to_string() } else { address.to_string() };
                chain = format!("{chain}, {entry}");
            }
            let found = ClientAddress::behind(PROXY.parse().unwrap(), [chain.as_str()].into_iter(), &trusted());
            prop_assert_eq!(found, ClientAddress(client));
        }

        #[test]
        fn who_is_not_trusted_is_the_client_whatever_it_writes(
            peer in strangers(), written in prop::collection::vec(".{0,80}", 0..3),
        ) {
            let found = ClientAddress::behind(peer, written.iter().map(String::as_str), &trusted());
            prop_assert_eq!(found, ClientAddress(peer));
        }

        #[test]
        fn whatever_is_written_the_client_is_the_peer_or_somebody_in_the_chain(
            written in prop::collection::vec("[0-9a-f:., \\[\\]]{0,60}", 0..3),
        ) {
            let peer: IpAddr = PROXY.parse().unwrap();
            let ClientAddress(found) = ClientAddress::behind(peer, written.iter().map(String::as_str), &trusted());
            let mut named = written.iter().flat_map(|header| header.split(',')).filter_map(|entry| parse(entry.trim()));
            prop_assert!(found == peer || named.any(|address| address == found));
        }
    }
}
