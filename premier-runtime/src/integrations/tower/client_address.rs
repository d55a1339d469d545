//! The address of the client that sent a request: the address of the peer, or the one that trusted proxies report.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(feature = "axum")]
use axum::extract::ConnectInfo;
#[cfg(feature = "axum")]
use axum::extract::connect_info::MockConnectInfo;
use http::Extensions;
use http::header::{HeaderMap, HeaderName};

use super::forwarded;
use super::ip_key::IPV6_PREFIX;
use super::nat64::Nat64Prefix;
use super::proxies::{Trust, TrustedProxies};

/// Finds the address of the peer in the extensions of a request.
type PeerFn = dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync;

/// How to find the address of a request's client, and which addresses count as one client.
#[derive(Clone)]
pub(super) struct ClientAddress {
    source: Source,
    pub(super) peer: Option<Arc<PeerFn>>,
    pub(super) ipv6_prefix: u8,
    /// NAT64 prefixes in addition to the well-known ones.
    pub(super) nat64: Vec<Nat64Prefix>,
    /// Whether it was logged that a header has fewer entries than there are proxies.
    has_warned: Arc<AtomicBool>,
}

/// Where the address of a client is.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Peer,
    Forwarded(TrustedProxies),
    XForwardedFor(TrustedProxies),
    /// A header that a proxy overwrites.
    Header(HeaderName, TrustedProxies),
}

impl From<Source> for ClientAddress {
    fn from(source: Source) -> Self {
        Self {
            source,
            peer: None,
            ipv6_prefix: IPV6_PREFIX,
            nat64: Vec::new(),
            has_warned: Arc::default(),
        }
    }
}

impl ClientAddress {
    /// Returns the address of the client, or `None` if the server did not supply that of the peer.
    // Inlined, because most keys are the address of the peer. With `peer_of_another_server` apart, a request takes
    // 20 instructions fewer.
    #[inline]
    pub(super) fn find(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        match &self.source {
            Source::Peer => self.peer_address(extensions),
            _ => self.find_in_headers(headers, extensions),
        }
    }

    fn find_in_headers(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = || self.peer_address(extensions);
        match &self.source {
            Source::Peer => peer(),
            Source::XForwardedFor(proxies) => {
                self.follow(proxies, forwarded::x_forwarded_for(headers), peer)
            }
            Source::Forwarded(proxies) => self.follow(proxies, forwarded::forwarded(headers), peer),
            Source::Header(name, proxies) => {
                let address = || forwarded::single(headers, name);
                match &proxies.0 {
                    // The proxies behind the one that writes the header pass it on.
                    Trust::Hops(1..) => self.or_peer(address(), peer),
                    Trust::Hops(0) => peer(),
                    Trust::Networks(networks) => match peer()? {
                        peer if networks.contain(peer) => Some(address().unwrap_or(peer)),
                        peer => Some(peer),
                    },
                }
            }
        }
    }

    #[inline]
    fn peer_address(&self, extensions: &Extensions) -> Option<IpAddr> {
        match &self.peer {
            Some(find) => find(extensions),
            None => peer(extensions),
        }
    }

    /// Follows the addresses that proxies have appended, `entries` from the right.
    fn follow(
        &self,
        proxies: &TrustedProxies,
        mut entries: impl Iterator<Item = Option<IpAddr>>,
        peer: impl FnOnce() -> Option<IpAddr>,
    ) -> Option<IpAddr> {
        match &proxies.0 {
            Trust::Hops(0) => peer(),
            Trust::Hops(count) => self.or_peer(entries.nth(count - 1).flatten(), peer),
            Trust::Networks(networks) => {
                let mut client = peer()?;
                while networks.contain(client)
                    && let Some(Some(next)) = entries.next()
                {
                    client = next;
                }
                Some(client)
            }
        }
    }

    /// Returns the address of the peer if a request lacks the one that the proxies should have written:
    /// it may have come from inside, around them. Otherwise all clients share the address of a proxy, so
    /// it is logged once.
    fn or_peer(
        &self,
        found: Option<IpAddr>,
        peer: impl FnOnce() -> Option<IpAddr>,
    ) -> Option<IpAddr> {
        found.or_else(|| {
            let peer = peer()?;
            if !self.has_warned.swap(true, Ordering::Relaxed) {
                #[cfg(feature = "tracing")]
                tracing::warn!(
                    target: "premier",
                    key = ?self,
                    %peer,
                    "a request has no address in the header of the proxies, so that of its peer is its key: \
                     unless it came from inside, correct the number of proxies or the header"
                );
            }
            Some(peer)
        })
    }
}

impl fmt::Debug for ClientAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, proxies) = match &self.source {
            Source::Peer => return formatter.write_str("peer_ip"),
            Source::Forwarded(proxies) => ("forwarded", proxies),
            Source::XForwardedFor(proxies) => ("x_forwarded_for", proxies),
            Source::Header(name, proxies) => (name.as_str(), proxies),
        };
        write!(formatter, "{name}({:?})", proxies.0)
    }
}

/// Returns the IP address of the peer, where axum and hyper put it.
#[inline]
pub(crate) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    #[cfg(feature = "axum")]
    if let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<SocketAddr>>() {
        return Some(peer.ip());
    }
    peer_of_another_server(extensions)
}

// See `ClientAddress::find`.
#[inline(never)]
fn peer_of_another_server(extensions: &Extensions) -> Option<IpAddr> {
    #[cfg(feature = "axum")]
    if let Some(MockConnectInfo(peer)) = extensions.get::<MockConnectInfo<SocketAddr>>() {
        return Some(peer.ip());
    }
    extensions.get::<SocketAddr>().map(SocketAddr::ip)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::request::Parts;

    use super::*;

    fn request(lines: &[(&'static str, &str)], peer: Option<&str>) -> Parts {
        let mut request = Request::new(());
        for (name, line) in lines {
            request.headers_mut().append(*name, line.parse().unwrap());
        }
        if let Some(peer) = peer {
            let peer = SocketAddr::new(peer.parse().unwrap(), 80);
            request.extensions_mut().insert(peer);
        }
        request.into_parts().0
    }

    #[track_caller]
    fn assert_client(source: Source, request: &Parts, expected: Option<&str>) {
        let address = ClientAddress::from(source);
        let found = address.find(&request.headers, &request.extensions);
        let expected = expected.map(|text| text.parse().unwrap());
        assert_eq!(found, expected, "{address:?} {request:?}");
    }

    fn inside() -> TrustedProxies {
        TrustedProxies::networks(["10.0.0.0/8", "fd00::/8"]).unwrap()
    }

    #[test]
    fn the_client_is_the_first_address_outside_of_the_trusted_networks() {
        for (line, peer, client) in [
            ("6.6.6.6, 9.9.9.9", "10.0.0.1", "9.9.9.9"),
            ("6.6.6.6, 9.9.9.9, 10.0.0.2", "10.0.0.1", "9.9.9.9"),
            ("6.6.6.6, 2001:db8::1, fd00::2", "10.0.0.1", "2001:db8::1"),
            // Around the proxies.
            ("6.6.6.6, 10.0.0.2", "9.9.9.9", "9.9.9.9"),
            // From inside.
            ("10.0.0.3, 10.0.0.2", "10.0.0.1", "10.0.0.3"),
            ("garbage, 10.0.0.2", "10.0.0.1", "10.0.0.2"),
            ("", "10.0.0.1", "10.0.0.1"),
            // A client that pretends to be a proxy by the address that an IPv6 address stands for.
            ("6.6.6.6, 2002:a00:1::1", "10.0.0.1", "2002:a00:1::1"),
        ] {
            let request = request(&[("x-forwarded-for", line)], Some(peer));
            assert_client(Source::XForwardedFor(inside()), &request, Some(client));
        }
        let line = "for=6.6.6.6, for=9.9.9.9;proto=https, for=\"[fd00::2]:80\"";
        let request = request(&[("forwarded", line)], Some("10.0.0.1"));
        assert_client(Source::Forwarded(inside()), &request, Some("9.9.9.9"));
    }

    #[test]
    fn a_header_with_one_address_is_believed_from_trusted_peers_only() {
        let name = HeaderName::from_static("cf-connecting-ip");
        for (lines, peer, client) in [
            (&["9.9.9.9"][..], "10.0.0.1", "9.9.9.9"),
            (&["9.9.9.9"], "8.8.8.8", "8.8.8.8"),
            (&["garbage"], "10.0.0.1", "10.0.0.1"),
            (&[], "10.0.0.1", "10.0.0.1"),
            // A proxy that appends a line instead of overwriting those of the client.
            (&["6.6.6.6", "9.9.9.9"], "10.0.0.1", "9.9.9.9"),
        ] {
            let lines = lines.iter().map(|line| ("cf-connecting-ip", *line));
            let lines: Vec<_> = lines.collect();
            let request = request(&lines, Some(peer));
            assert_client(
                Source::Header(name.clone(), inside()),
                &request,
                Some(client),
            );
        }
        let request = request(&[("cf-connecting-ip", "9.9.9.9")], Some("10.0.0.1"));
        for (hops, client) in [(0, "10.0.0.1"), (1, "9.9.9.9"), (2, "9.9.9.9")] {
            let source = Source::Header(name.clone(), hops.into());
            assert_client(source, &request, Some(client));
        }
    }

    #[test]
    fn without_the_address_of_the_peer_only_counted_proxies_are_believed() {
        let lines = [("x-forwarded-for", "9.9.9.9"), ("x-real-ip", "9.9.9.9")];
        let request = request(&lines, None);
        let name = HeaderName::from_static("x-real-ip");
        assert_client(Source::Peer, &request, None);
        assert_client(Source::XForwardedFor(inside()), &request, None);
        assert_client(Source::Header(name.clone(), inside()), &request, None);
        assert_client(Source::XForwardedFor(2.into()), &request, None);
        assert_client(Source::XForwardedFor(1.into()), &request, Some("9.9.9.9"));
        assert_client(Source::Header(name, 1.into()), &request, Some("9.9.9.9"));
    }

    #[test]
    fn the_peer_may_be_somewhere_else() {
        struct Connection(IpAddr);

        let mut request = request(&[("x-forwarded-for", "9.9.9.9")], Some("8.8.8.8"));
        request
            .extensions
            .insert(Arc::new(Connection("10.0.0.1".parse().unwrap())));
        let mut address = ClientAddress::from(Source::XForwardedFor(inside()));
        address.peer = Some(Arc::new(|extensions| {
            extensions
                .get::<Arc<Connection>>()
                .map(|connection| connection.0)
        }));
        let found = address.find(&request.headers, &request.extensions);
        assert_eq!(found, Some("9.9.9.9".parse().unwrap()));
    }
}
